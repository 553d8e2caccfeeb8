/** A DHCP client of somebody else's (ISC's dhclient): the machine's own, else Debian's package unpacked into the cache. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { LabMachine } from './lab-host.ts';
import {
  findPackageSet,
  libraryDirectories,
  type PackageSet,
  programDirectories,
  searchPath,
  type Unavailable,
} from './open-vswitch/package-set.ts';
import { attempt } from './run.ts';

export type DhcpClient = {
  /** e.g. 4.4.3-P1. */
  version: string;
  /** With what to put before it so that it finds its libraries: program, then arguments. */
  command: readonly [string, ...string[]];
};

const dhclient: PackageSet<DhcpClient> = {
  title: "ISC's DHCP client",
  name: 'dhclient',
  layout: 1,
  packages: () => ['isc-dhcp-client'],
  async describe(root) {
    const program = searchPath('dhclient', programDirectories(root));
    if (program === undefined) return 'dhclient is missing';
    const libraries = root === undefined ? [] : [`LD_LIBRARY_PATH=${libraryDirectories(root).join(delimiter)}`];
    const command = ['env', ...libraries, program] as const;
    const { stdout, stderr } = await attempt(command[0], [...command.slice(1), '--version']);
    const version = /isc-dhclient-(\S+)/.exec(`${stdout}${stderr}`)?.[1];
    return version === undefined ? `${stderr}${stdout}`.trim() : { version, command };
  },
};

/** `unavailable` says why it could not be had. Never throws. */
export function findDhcpClient(line?: (text: string) => void): Promise<DhcpClient | Unavailable> {
  return findPackageSet(dhclient, line);
}

/** What dhclient(8) told its script last, by its own names: `ip_address`, `routers`, `interface_mtu`, `ip6_address` … */
export type Lease = Readonly<Record<string, string>> & { /** BOUND, RENEW, REBIND, BOUND6 … */ reason: string };

export type LeaseHolder = {
  lease(): Lease | undefined;
  /** It ends without releasing the lease, as a VM that is switched off does. */
  stop(): Promise<void>;
  /** It gives the lease back. */
  release(): Promise<void>;
};

const configuration = (version: 4 | 6): string => `timeout 30;
retry 1;
initial-interval 1;
backoff-cutoff 2;
${
  version === 4
    ? `option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;
request subnet-mask, routers, domain-name, domain-name-servers, host-name, interface-mtu, rfc3442-classless-static-routes, dhcp-lease-time;
`
    : `request dhcp6.name-servers, dhcp6.fqdn, dhcp6.domain-search;
`
}`;

/**
 * Does with a lease what dhclient-script(8) of a distribution does: address, MTU, routes; classless ones rule out the
 * router of option 3 (RFC 3442). What it was told is kept.
 */
const script = (told: string): string => `#!/bin/sh
case "$reason" in PREINIT|PREINIT6|MEDIUM) ip link set "$interface" up; exit 0;; esac
case "$reason" in
BOUND|RENEW|REBIND|REBOOT)
  [ -z "$new_interface_mtu" ] || ip link set "$interface" mtu "$new_interface_mtu"
  ip addr replace "$new_ip_address/$new_subnet_mask" dev "$interface"
  if [ -n "$new_rfc3442_classless_static_routes" ]; then
    set -- $new_rfc3442_classless_static_routes
    while [ $# -gt 0 ]; do
      length=$1 octets=$((($1 + 7) / 8)) prefix=; shift
      for i in 1 2 3 4; do
        if [ $i -le $octets ]; then prefix=$prefix.$1; shift; else prefix=$prefix.0; fi
      done
      via=$1.$2.$3.$4; shift 4
      if [ "$via" = 0.0.0.0 ]; then way="dev $interface"; else way="via $via dev $interface onlink"; fi
      ip route replace "\${prefix#.}/$length" $way
    done
  elif [ -n "$new_routers" ]; then
    ip route replace default via "\${new_routers%% *}" dev "$interface"
  fi;;
EXPIRE|FAIL|RELEASE|STOP) ip addr flush dev "$interface" scope global;;
BOUND6|RENEW6|REBIND6) ip -6 addr replace "$new_ip6_address/\${new_ip6_prefixlen:-128}" dev "$interface" nodad;;
EXPIRE6|RELEASE6|STOP6) ip -6 addr flush dev "$interface" scope global;;
esac
{ echo "reason=$reason"; set | sed -n 's/^new_//p'; } >'${told}.part'
mv '${told}.part' '${told}'
exit 0
`;

let counter = 0;

/**
 * Runs the client on eth0 of the machine until it is stopped or the lab ends; its files go to `directory`. The namespace
 * of a VM is made without IPv6: version 6 switches it on.
 */
export function askForLease(
  client: DhcpClient,
  vm: Pick<LabMachine, 'name' | 'exec'>,
  directory: string,
  version: 4 | 6 = 4,
): LeaseHolder {
  counter += 1;
  const own = join(directory, `dhclient-${counter}`);
  mkdirSync(own);
  const file = (name: string): string => join(own, name);
  writeFileSync(file('conf'), configuration(version));
  writeFileSync(file('script'), script(file('told')), { mode: 0o755 });
  const common = [`-${version}`, '-cf', file('conf'), '-sf', file('script'), '-lf', file('leases'), '-pf', file('pid')];
  const [program, ...before] = client.command;
  // The way it is started by systemd units: in the foreground. It writes its process id all the same.
  const run = vm.exec(program, [...before, ...common, '-d', 'eth0'], { timeout: 600_000 });
  // It ends with the lab at the latest, which whoever waits for it is told as an error.
  void Promise.allSettled([run]);
  return {
    lease() {
      if (!existsSync(file('told'))) return undefined;
      const lines = readFileSync(file('told'), 'utf8').split('\n');
      const told = lines.map((line) => /^(\w+)=(.*)$/.exec(line)).filter((match) => match !== null);
      return Object.fromEntries(told.map(([, name, value]) => [name, value!.replace(/^'(.*)'$/, '$1')])) as Lease;
    },
    async stop() {
      await vm.exec(program, [...before, ...common, '-x', 'eth0']);
      await run;
    },
    async release() {
      await vm.exec(program, [...before, ...common, '-r', 'eth0']);
      await run;
    },
  };
}
