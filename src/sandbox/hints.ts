import type { FrontDoor } from './front-door.ts';
import type { Lab } from './lab.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';

/** Where everything is, and lines to paste into another terminal. */
export function advice(lab: Lab, openVswitch: OpenVswitch, door: FrontDoor): string {
  const url = `http://${door.host}:${door.port}`;
  const pid = lab.enclosure.pid();
  const enter = process.getuid?.() === 0 ? `nsenter -t ${pid}` : `nsenter -t ${pid} -U --preserve-credentials`;
  const namespace = `--net=/proc/${pid}/root${lab.directory}/ns/acme-web1`;
  return `
The sandbox is up. Ctrl-C ends it and leaves nothing behind.

  REST API      ${url}  (pages at ${url}/docs)
  admin token   in ${lab.adminTokenFile()}
  switches      ${lab.directory}/hv1, hv2 …: db.sock, br-int.mgmt, logs

Try, in another terminal:

  export KEYWAY_URL=${url} KEYWAY_TOKEN=$(cat ${lab.adminTokenFile()})
  npx keyway port list acme/shop
  npx keyway where 10.0.1.11
  npx keyway flows dump hv1
  npx keyway rule delete acme/shop/web-to-db
  ${enter} ${namespace} ${openVswitch.programs.ping} -c 3 10.0.1.12
  ${openVswitch.programs['ovs-vsctl']} --db=unix:${lab.directory}/hv1/db.sock show
`;
}
