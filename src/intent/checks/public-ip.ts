/**
 * Public addresses: out of a pool that is open to the tenant, each for one network. Left out, the lowest one that never was
 * in use is taken, else the least recently freed. Nobody but the tenant that had it gets one before every switch has
 * confirmed that it is gone: a gateway that is away would go on to bring it where it was.
 */
import { publicPool } from '../../store/ids.ts';
import { formatIpv4, parseIpv4 } from '../addresses.ts';
import { nextFree, release as releaseOffset, take as takeOffset } from '../free-addresses.ts';
import { canonicalIp } from '../ip.ts';
import type { Log } from '../log.ts';
import type { Path, Resource } from '../model.ts';
import { formatPath, tenantOf } from '../path.ts';
import { isWithin, type Range, rangesOf, sizeOf } from '../ranges.ts';
import { SortedMap } from '../sorted.ts';
import type { State } from '../state.ts';
import type { Concern, Report, Staging } from './concern.ts';
import { openTo, wordsKey } from './ip-pool.ts';
import { judgeAddress } from './prefixes.ts';

type Pool = Resource<'ip-pool'>;

export const publicAddress: Concern<'public-ip'> = {
  normalise(spec) {
    if (spec.address !== undefined) spec.address = canonicalIp(spec.address);
  },

  judge(spec, report) {
    if (spec.address !== undefined) judgeAddress(spec.address, '/address', report);
  },

  // Neither pool nor address changes.
  release({ state, log, resting }, { path: own, spec }, after) {
    if (after !== undefined) return;
    const path = formatPath('ip-pool', '', spec.pool);
    const address = parseIpv4(spec.address)!;
    log.writeIn(state.publicAddresses, path, () => new SortedMap(), address, undefined);
    const pool = state.getAs('ip-pool', path);
    const rest = pool && restingPool(state, pool);
    if (rest !== undefined) resting?.free(rest, address, tenantNumber(state, own));
    const range = pool && rangesOf(pool.spec).find((one) => isWithin(one, address));
    const words = range && state.poolWords.get(wordsKey(path, range));
    if (words !== undefined) releaseOffset(log, words, sizeOf(range!), address - range!.first);
  },

  claim(staging, draft, before, report) {
    const { state, log, isBroken } = staging;
    const { spec } = draft;
    if (before !== undefined || spec.address === undefined) return;
    const address = parseIpv4(spec.address)!;
    const asked = spec.pool === undefined ? undefined : formatPath('ip-pool', '', spec.pool);
    const pool = asked === undefined ? poolAround(state, draft.path, address) : state.getAs('ip-pool', asked);
    // That a pool which is named does not exist is told.
    if (asked !== undefined && (pool === undefined || isBroken(asked))) return;
    if (pool !== undefined && isClosed(staging, draft.path, pool, report)) return;
    const range = pool && rangesOf(pool.spec).find((one) => isWithin(one, address));
    if (pool === undefined || range === undefined) {
      const where = pool === undefined ? 'any pool the tenant may draw from' : `the pool ${pool.name}`;
      report('/address', 'public-ip.outside', `${spec.address} is not among the addresses of ${where}`);
    } else if (state.publicAddresses.get(pool.path)?.get(address) !== undefined) {
      // Not by whom: it may be another tenant.
      report('/address', 'public-ip.in-use', `${spec.address} is taken`);
    } else if (!mayTake(staging, draft.path, pool, address)) {
      report('/address', 'public-ip.in-use', `${spec.address} was freed, and a switch has yet to confirm it`);
    } else {
      give(state, log, draft.path, pool, range, address);
      if (asked !== undefined) return;
      spec.pool = pool.name;
      state.addReference(log, draft.path, pool.path);
    }
  },

  fill(staging, draft, report) {
    const { state, log, isBroken } = staging;
    const { spec } = draft;
    if (spec.address !== undefined) return;
    const asked = spec.pool === undefined ? undefined : formatPath('ip-pool', '', spec.pool);
    const open = asked === undefined ? poolsFor(state, draft.path) : [state.getAs('ip-pool', asked)];
    let known = false;
    for (const pool of open) {
      if (pool === undefined || isBroken(pool.path) || isClosed(staging, draft.path, pool, report)) return;
      known = true;
      const free = freeIn(staging, pool);
      if (free === undefined) continue;
      give(state, log, draft.path, pool, free.range, free.address);
      spec.address = formatIpv4(free.address);
      if (asked !== undefined) return;
      spec.pool = pool.name;
      state.addReference(log, draft.path, pool.path);
      return;
    }
    if (known) {
      const which = spec.pool === undefined ? 'any pool' : `the pool ${spec.pool}`;
      report('/pool', 'ip-pool.exhausted', `No address of ${which} is free`);
    } else report('/pool', 'ip-pool.none', 'There is no pool of public addresses the tenant may draw from');
  },
};

/** Whether the tenant of the path may not draw from the pool, which is told then. What is given already stays. */
function isClosed({ restrictedAllowed, isLoading }: Staging, path: Path, pool: Pool, report: Report): boolean {
  const tenant = tenantOf(path)!;
  if (isLoading || openTo(pool.spec).some((one) => one === '' || one === tenant)) return false;
  // A tenant is told the same as of a pool there is not.
  if (restrictedAllowed) report('/pool', 'ip-pool.not-open', `${pool.path} is not open to ${tenant}`);
  else report('/pool', 'reference.dangling', `There is no ${pool.path}`);
  return true;
}

/** Pools the tenant of the path may draw from, in the order of their names. */
function* poolsFor(state: State, path: Path): Generator<Pool, void, undefined> {
  const [own, all] = [tenantOf(path)!, ''].map((of) => state.openPools.get(of)?.entries());
  let [one, other] = [own?.next().value, all?.next().value];
  while (one !== undefined || other !== undefined) {
    const isOwn = other === undefined || (one !== undefined && one[0] < other[0]);
    yield state.getAs('ip-pool', (isOwn ? one : other)![1])!;
    if (isOwn) one = own!.next().value;
    else other = all!.next().value;
  }
}

/** The first pool for the path in one of whose ranges the address lies. */
function poolAround(state: State, path: Path, address: number): Pool | undefined {
  for (const pool of poolsFor(state, path))
    if (rangesOf(pool.spec).some((range) => isWithin(range, address))) return pool;
  return undefined;
}

/** Freed addresses that rest at least, where every switch confirms them: each is looked at when one is chosen. */
const mostResting = 64;

function freeIn(staging: Staging, pool: Pool): { range: Range; address: number } | undefined {
  const { state, resting } = staging;
  const name = restingPool(state, pool);
  if (name === undefined) return undefined;
  const ranges = rangesOf(pool.spec);
  const freed = (): { range: Range; address: number } | undefined => {
    const address = resting?.claimFreed(name, (one) => ranges.some((range) => isWithin(range, one)));
    return address === undefined ? undefined : { address, range: ranges.find((range) => isWithin(range, address))! };
  };
  const enough = (resting?.freedIn(name) ?? 0) > mostResting ? freed() : undefined;
  if (enough !== undefined) return enough;
  for (const range of ranges) {
    const words = state.poolWords.get(wordsKey(pool.path, range)) ?? new Map<number, number>();
    let offset = nextFree(words, sizeOf(range), 0);
    while (offset !== undefined && resting?.isFreed(name, range.first + offset) === true)
      offset = nextFree(words, sizeOf(range), offset + 1);
    if (offset !== undefined) return { range, address: range.first + offset };
  }
  return freed();
}

/**
 * Pool of ids where the addresses of a provider network rest, by what that is and not what it is called; undefined where
 * it is missing, which is told.
 */
function restingPool(state: State, { spec }: Pool): string | undefined {
  const on = state.getAs('provider-network', formatPath('provider-network', '', spec.providerNetwork));
  return on && publicPool(on.spec.physicalNetwork, on.spec.vlan);
}

/** Whether nobody else's switch may still have the address. */
function mayTake({ state, resting }: Staging, path: Path, pool: Pool, address: number): boolean {
  const rest = restingPool(state, pool);
  return rest === undefined || resting?.claim(rest, address, tenantNumber(state, path)) !== false;
}

function tenantNumber(state: State, path: Path): number | undefined {
  return state.get(tenantOf(path)!)?.number;
}

function give(state: State, log: Log, to: Path, { path }: Pool, range: Range, address: number): void {
  log.writeIn(state.publicAddresses, path, () => new SortedMap(), address, to);
  const words = state.poolWords.get(wordsKey(path, range));
  if (words !== undefined) takeOffset(log, words, sizeOf(range), address - range.first);
}
