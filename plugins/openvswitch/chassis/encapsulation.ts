/** How packets travel between hypervisors: what a tunnel's Interface row says. One file per encapsulation implements it. */

export type TunnelEnds = {
  remoteIp: string;
  /** Ours, where it is to be written. */
  localIp: string | undefined;
};

export type Encapsulation = {
  /** Column `type` of Interface. */
  type: string;
  /** Column `options` of Interface, whole. */
  options(ends: TunnelEnds): Record<string, string>;
  /** Bytes of the underlay's MTU that are not a VM's: outer IP header, the encapsulation's own, inner Ethernet header. */
  overhead(remoteIp: string): number;
};
