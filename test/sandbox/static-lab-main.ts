/** A program that opens a lab, says what it saw in one JSON line, and stays until it is killed. */
import { openLab } from '../../src/sandbox/lab.ts';
import { findOpenVswitch } from '../../src/sandbox/open-vswitch/find.ts';
import { buildStaticLab } from './static-lab.ts';

const openVswitch = await findOpenVswitch();
if ('unavailable' in openVswitch) throw new Error(openVswitch.unavailable);
const lab = await openLab(openVswitch);
const { vms } = await buildStaticLab(lab);
const ping = await vms[0]!.ping('10.0.1.12');
console.log(JSON.stringify({ directory: lab.directory, inner: lab.enclosure.pid(), uid: process.getuid?.(), ping }));
await lab.enclosure.ended;
