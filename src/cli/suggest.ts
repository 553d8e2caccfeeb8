/** The nearest of the words there are to the one that was typed. */

/** What people type who come from elsewhere. */
const synonyms = new Map<string, string[]>(
  Object.entries({
    ls: ['list'],
    rm: ['delete'],
    del: ['delete'],
    remove: ['delete'],
    destroy: ['delete'],
    show: ['get'],
    describe: ['get'],
    add: ['create'],
    new: ['create'],
    put: ['create'],
    update: ['set'],
    edit: ['set'],
    patch: ['set'],
    modify: ['set'],
    vpc: ['network'],
    subnet: ['tier'],
    acl: ['rule'],
    'static-route': ['route'],
    'service-chain': ['steering'],
    chain: ['steering'],
    peer: ['peering'],
    'floating-ip': ['public-ip'],
    'elastic-ip': ['public-ip'],
    eip: ['public-ip'],
    fip: ['public-ip'],
    nat: ['nat-rule'],
    snat: ['nat-rule'],
    dnat: ['nat-rule'],
    'port-forward': ['nat-rule'],
    pool: ['ip-pool'],
    'external-network': ['provider-network'],
    'physical-network': ['provider-network'],
    vlan: ['vlan-attachment'],
    nic: ['port'],
    host: ['hypervisor'],
    diff: ['plan', 'flows'],
    watch: ['events'],
    repl: ['shell'],
  }),
);

/** Edits (insert, delete, replace, swap of neighbours) between two words. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      current.push(best);
    }
    before = previous;
    previous = current;
  }
  return previous[b.length]!;
}

/** The nearest candidate, undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const known = synonyms.get(word)?.find((one) => candidates.includes(one));
  if (known) return known;
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const far = candidate.startsWith(word) && word.length > 1 ? 1 : distance(word, candidate);
    if (far < least) {
      least = far;
      best = candidate;
    }
  }
  return best;
}

/** ` Did you mean X?`, or nothing. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const found = nearest(word, candidates);
  return found === undefined ? '' : ` Did you mean ${found}?`;
}
