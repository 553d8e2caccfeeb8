/** Run by set-up, in a process of its own: has Open vSwitch ready before it is wanted. Exit status 1: there is none. */
import { findDhcpClient } from '../dhcp-client.ts';
import { findOpenVswitch } from './find.ts';

const line = (text: string): void => console.log(`setup: ${text}`);
const found = await findOpenVswitch({ line });
if ('unavailable' in found) {
  line(`no Open vSwitch: ${found.unavailable}`);
  line(
    'Without it the sandbox cannot start. On Debian and Ubuntu: look at the network and the package sources (apt-get',
  );
  line('update), or install openvswitch-switch, iputils-ping, tcpdump, socat, ethtool and iproute2.');
  process.exitCode = 1;
}
const client = await findDhcpClient(line);
if ('unavailable' in client) line(`no DHCP client, so that no lease is shown: ${client.unavailable}`);
