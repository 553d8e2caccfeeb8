/** From which probes arrived to what is broken. */
import type { HypervisorNumber, TunnelHealth } from '../drivers/switch-plugin.ts';

export type Direction = {
  from: HypervisorNumber;
  to: HypervisorNumber;
  names: [string, string];
  /** Encapsulation addresses. */
  addresses: [string | undefined, string | undefined];
  /** OpenFlow port of the tunnel; undefined: there is none. */
  ofport: number | undefined;
  /** Why one of the ends cannot be asked. */
  unreachable: string | undefined;
  /** Why the switch did not take a probe. */
  refused: string | undefined;
  error: TunnelHealth['error'];
  bfd: TunnelHealth['bfd'];
  /** Of frames, bytes, ascending; those sent, and those that came. */
  sizes: number[];
  arrived: Set<number>;
};

export type Pair = { a: string; b: string; there: Direction; back: Direction };

export type Way = {
  from: string;
  to: string;
  /** `partly`: only the smaller ones arrive. */
  probes: 'all' | 'partly' | 'none' | 'not-sent';
  /** Frames, bytes. */
  sizes: { size: number; arrived: boolean }[];
  /** State of Bidirectional Forwarding Detection at the sending end; missing where it is not told. */
  bfd?: string;
};

export type Found = {
  a: string;
  b: string;
  state: 'ok' | 'warn' | 'fail';
  ways: [Way, Way];
  found: string;
  /** What to do; empty where nothing is to be done. */
  advice: string;
};

export function judge({ a, b, there, back }: Pair): Found {
  const ways: [Way, Way] = [wayOf(there), wayOf(back)];
  const { state, found, advice } = conclude(there, back, ways);
  return { a, b, state, ways, found, advice };
}

function wayOf({ names, sizes, arrived, bfd, ofport, unreachable, refused }: Direction): Way {
  const unsent = ofport === undefined || unreachable !== undefined || refused !== undefined;
  const count = sizes.filter((size) => arrived.has(size)).length;
  const probes = unsent ? 'not-sent' : count === sizes.length ? 'all' : count === 0 ? 'none' : 'partly';
  return {
    from: names[0],
    to: names[1],
    probes,
    sizes: sizes.map((size) => ({ size, arrived: arrived.has(size) })),
    ...(bfd === undefined ? {} : { bfd: bfd.state }),
  };
}

type Conclusion = Pick<Found, 'state' | 'found' | 'advice'>;

const fail = (found: string, advice: string): Conclusion => ({ state: 'fail', found, advice });

function conclude(there: Direction, back: Direction, ways: readonly [Way, Way]): Conclusion {
  const both = [there, back] as const;
  const [a, b] = there.names;
  const ips = there.addresses.map((ip) => ip ?? 'an unknown address');
  const gone = there.unreachable ?? back.unreachable;
  if (gone !== undefined)
    return { state: 'warn', found: `Not probed: ${gone}`, advice: 'Bring the hypervisor back: keyway doctor' };
  const error = both.find((d) => d.error !== undefined);
  if (error !== undefined)
    return fail(
      `Open vSwitch on ${error.names[0]} could not set up the tunnel: ${error.error}`,
      `On ${error.names[0]}: ovs-vsctl show`,
    );
  const absent = both.find((d) => d.ofport === undefined);
  if (absent !== undefined)
    return fail(
      `${absent.names[0]} has no tunnel to ${absent.names[1]}`,
      `See keyway doctor, and ovs-vsctl show there`,
    );
  const refused = both.find((d) => d.refused !== undefined);
  if (refused !== undefined)
    return fail(`${refused.names[0]} does not send probes: ${refused.refused}`, 'See the log of the controller');
  const silent = both.filter((_, i) => ways[i]!.probes === 'none');
  if (silent.length === 2)
    return fail(
      `No answer, either way, between ${ips.join(' and ')}`,
      `The underlay: ping ${ips[1]} from ${a}; and what filters the encapsulation between them (GRE is IP protocol 47)`,
    );
  if (silent.length === 1) {
    const [from, to] = silent[0]!.names;
    return fail(
      `One way only: what ${from} sends does not come to ${to}, the other way it does`,
      `What filters or routes the encapsulation from ${silent[0]!.addresses.join(' to ')}; the encapsulation address of ${from}`,
    );
  }
  const cut = both.find((_, i) => ways[i]!.probes === 'partly');
  if (cut !== undefined) return tooBig(cut);
  const down = both.find((d) => d.bfd !== undefined && d.bfd.state !== 'up');
  if (down !== undefined)
    return {
      state: 'warn',
      found: `Every probe arrives, but BFD from ${down.names[0]} is ${down.bfd!.state} (${down.bfd!.diagnostic})`,
      advice: `What filters BFD (UDP port 3784) between ${a} and ${b}; on ${down.names[0]}: ovs-appctl bfd/show`,
    };
  return { state: 'ok', found: `Every probe arrives, up to ${Math.max(...there.sizes)} bytes`, advice: '' };
}

function tooBig({ names: [from, to], sizes, arrived }: Direction): Conclusion {
  const most = Math.max(...arrived);
  const lost = Math.min(...sizes.filter((size) => !arrived.has(size)));
  if (lost < most)
    return fail(
      `Some probes from ${from} to ${to} are lost, twice: of ${lost} bytes, while ${most} arrive`,
      `The underlay loses frames: counters of its interfaces and switches between ${from} and ${to}`,
    );
  return fail(
    `Too big is lost: from ${from} to ${to} frames of ${most} bytes arrive, of ${lost} do not`,
    'The MTU of the underlay between them is smaller than that of their interfaces: raise it on the whole way, or lower theirs',
  );
}
