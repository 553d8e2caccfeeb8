/** What a switch sent cannot be OpenFlow as we know it: the session is lost, nothing else. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Name of an OpenFlow error as Open vSwitch prints it ("OFPBMC_BAD_FIELD"), else "type T, code C". */
export function errorName(type: number, code: number, _experimenter?: number, _experimenterType?: number): string {
  return `type ${type}, code ${code}`;
}
