import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FrontDoor } from './front-door.ts';
import type { Lab } from './lab.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * A script that runs a command inside: `in acme-web1 ping …`, `in hv1 ovs-vsctl show`. It sets what the unpacked programs
 * need, and where on a hypervisor the tools of Open vSwitch find their daemons, for that command only.
 */
export function writeEnterScript(lab: Lab, openVswitch: OpenVswitch): string {
  const path = join(lab.directory, 'in');
  const pid = lab.enclosure.pid();
  const user = process.getuid?.() === 0 ? '' : ' --user --preserve-credentials';
  const { PATH, LD_LIBRARY_PATH, OVS_PKGDATADIR } = openVswitch.env;
  const variables = Object.entries({ PATH, LD_LIBRARY_PATH, OVS_PKGDATADIR })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${quoted(value ?? '')}`);
  const text = `#!/bin/sh
# in NAME COMMAND...: runs COMMAND in the network namespace of a VM or hypervisor of this sandbox.
where=${quoted(lab.directory)}
name=$1
if [ ! -e "$where/ns/$name" ] || [ $# -lt 2 ]; then
  echo "usage: $0 NAME COMMAND..., where NAME is one of:" $(ls "$where/ns") >&2
  exit 2
fi
shift
exec nsenter --target ${pid}${user} "--net=/proc/${pid}/root$where/ns/$name" -- \\
  env ${variables.join(' ')} "OVS_RUNDIR=$where/$name" "$@"
`;
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

/** Where everything is, and lines to paste into another terminal. */
export function advice(lab: Lab, openVswitch: OpenVswitch, door: FrontDoor): string {
  const url = `http://${door.host}:${door.port}`;
  const enter = writeEnterScript(lab, openVswitch);
  return `
The sandbox is up. Ctrl-C ends it and leaves nothing behind.

  REST API      ${url}  (pages at ${url}/docs)
  admin token   in ${lab.adminTokenFile()}
  its files     ${lab.directory}

Try, in another terminal, from this directory:

  export KEYWAY_URL=${url} KEYWAY_TOKEN=$(cat ${lab.adminTokenFile()})
  npx keyway port list acme/shop
  npx keyway where 10.0.1.11
  npx keyway flows dump hv1 --tenant acme
  ${enter} acme-web1 ping -c 3 10.0.1.12
  npx keyway rule delete acme/shop/ping-frontends     (then ping again)
  npx keyway trace --from acme/shop/web1 --to 10.0.3.21 --proto tcp --dport 22
  ${enter} acme-ids1 ping -c 1 10.0.2.1
  npx keyway steering delete acme/shop/inspect
  npx keyway public-ip list acme/shop
  ${enter} client socat -u TCP4:203.0.113.10:80 -       (published; port 22 is not)
  npx keyway trace --from outside --to 203.0.113.10 --proto tcp --dport 80
  npx keyway nat-rule delete acme/shop/http             (then ask again)
  ${enter} acme-guest1 ip -4 addr show dev eth0         (its lease)
  ${enter} hv1 ovs-vsctl show
`;
}
