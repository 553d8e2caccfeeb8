/** What a machine is told of itself, in the dialects images ask in: EC2's, OpenStack's, CloudStack's. */
import { formatIp } from '../../intent/ip.ts';
import { nameOf } from '../dns/names.ts';
import type { Port } from '../served.ts';

/** A text, or a directory by name. Values are made when they are asked for. */
export type Node = string | Buffer | Tree;
export type Tree = { readonly [name: string]: () => Node | undefined };

/** Key of a port's metadata that is not a tag: SSH keys, one a line. */
const publicKeys = 'public-keys';

/** Versions of EC2's tree: all of them are the same here. */
const ec2Versions = ['1.0', '2008-02-01', '2009-04-04', '2016-09-02', '2018-09-24', '2021-03-23', 'latest'];
const openStackVersions = ['2012-08-10', '2013-04-04', '2013-10-17', '2015-10-15', '2018-08-27', 'latest'];

/** @returns the text at the path, the list of a directory, or undefined: nothing is there */
export function lookUp(port: Port, path: string): Buffer | undefined {
  let node: Node | undefined = root(port);
  for (const name of path.split('/')) {
    if (name === '') continue;
    if (node === undefined || typeof node === 'string' || Buffer.isBuffer(node)) return undefined;
    // Names such as constructor are no entries of ours.
    node = Object.hasOwn(node, name) ? node[name]!() : undefined;
  }
  if (node === undefined) return undefined;
  if (Buffer.isBuffer(node)) return node;
  return Buffer.from(typeof node === 'string' ? node : listing(node));
}

function listing(tree: Tree): string {
  return Object.entries(tree)
    .flatMap(([name, make]) => {
      const node = make();
      if (node === undefined) return [];
      return [typeof node === 'string' || Buffer.isBuffer(node) ? name : `${name}/`];
    })
    .join('\n');
}

function root(port: Port): Tree {
  const ec2 = () => ({ ...cloudStackTree(port), ...ec2Tree(port) });
  const openStack = () => openStackTree(port);
  return {
    ...Object.fromEntries(ec2Versions.map((version) => [version, ec2])),
    openstack: () => Object.fromEntries(openStackVersions.map((version) => [version, openStack])),
  };
}

function userData({ told }: Port): Buffer | undefined {
  return told.userData === undefined ? undefined : Buffer.from(told.userData, 'base64');
}

function ec2Tree(port: Port): Tree {
  return { 'meta-data': () => ec2MetaData(port), 'user-data': () => userData(port) };
}

function ec2MetaData(port: Port): Tree {
  const { told } = port;
  const ipv4 = addresses(port, 4);
  const keys = keysOf(port);
  const tags = Object.entries(told.metadata ?? {}).filter(([name]) => name !== publicKeys);
  return {
    'instance-id': () => instanceId(port),
    hostname: () => nameOf(port),
    'local-hostname': () => nameOf(port),
    'local-ipv4': () => ipv4[0],
    'public-ipv4': () => told.publicAddress,
    mac: () => told.mac,
    placement: () => ({ 'availability-zone': () => port.network.told.name }),
    'public-keys': () =>
      keys.length === 0
        ? undefined
        : Object.fromEntries(keys.map((key, i) => [String(i), () => ({ 'openssh-key': () => key })])),
    network: () => ({ interfaces: () => ({ macs: () => ({ [told.mac]: () => nic(port) }) }) }),
    tags: () =>
      tags.length === 0
        ? undefined
        : { instance: () => Object.fromEntries(tags.map(([name, value]) => [name, () => value])) },
  };
}

function nic(port: Port): Tree {
  const { told, network } = port;
  const tier = network.tierOf(port);
  const text = (lines: string[]) => (lines.length === 0 ? undefined : lines.join('\n'));
  return {
    mac: () => told.mac,
    'device-number': () => '0',
    'interface-id': () => told.uid,
    'local-hostname': () => nameOf(port),
    'local-ipv4s': () => text(addresses(port, 4)),
    ipv6s: () => text(addresses(port, 6)),
    'public-ipv4s': () => told.publicAddress,
    'subnet-id': () => told.tier,
    'subnet-ipv4-cidr-block': () => tier?.told.cidr,
    'subnet-ipv6-cidr-blocks': () => tier?.told.ipv6Cidr,
    'vpc-id': () => network.told.uid,
    'vpc-ipv4-cidr-blocks': () => text(network.told.tiers.map(({ cidr }) => cidr)),
  };
}

/** As its virtual routers have it: flat, and again under meta-data. */
function cloudStackTree(port: Port): Tree {
  const { told, network } = port;
  return {
    'availability-zone': () => network.told.name,
    'cloud-identifier': () => `CloudStack-{${network.told.uid}}`,
    'instance-id': () => instanceId(port),
    'local-hostname': () => told.hostname,
    'local-ipv4': () => addresses(port, 4)[0],
    'public-hostname': () => told.publicAddress,
    'public-ipv4': () => told.publicAddress,
    'public-keys': () => keysOf(port).join('\n') || undefined,
    'vm-id': () => told.uid,
  };
}

function openStackTree(port: Port): Tree {
  return {
    'meta_data.json': () => JSON.stringify(openStackMetaData(port)),
    user_data: () => userData(port),
    'network_data.json': () => JSON.stringify(openStackNetworkData(port)),
    'vendor_data.json': () => '{}',
  };
}

function openStackMetaData(port: Port): object {
  const { told, network } = port;
  const meta = Object.fromEntries(Object.entries(told.metadata ?? {}).filter(([name]) => name !== publicKeys));
  const keys = keysOf(port);
  return {
    uuid: told.uid,
    name: told.name,
    hostname: nameOf(port),
    project_id: network.told.tenant,
    availability_zone: network.told.name,
    launch_index: 0,
    meta,
    public_keys: Object.fromEntries(keys.map((key, i) => [`key${i}`, key])),
    keys: keys.map((data, i) => ({ name: `key${i}`, type: 'ssh', data })),
  };
}

/** Addresses come by DHCP: the same as a machine without this file would do. */
function openStackNetworkData(port: Port): object {
  const { told, network } = port;
  const tier = network.tierOf(port);
  const networks = (tier?.prefix6 === undefined ? ['ipv4_dhcp'] : ['ipv4_dhcp', 'ipv6_dhcpv6-stateful']).map(
    (type, i) => ({ id: `network${i}`, type, link: 'link0', network_id: network.told.uid }),
  );
  return {
    links: [{ id: 'link0', type: 'phy', ethernet_mac_address: told.mac, mtu: network.told.mtu, vif_id: told.uid }],
    networks,
    services: [],
  };
}

/** It stays the same as long as the port does; images do what is to be done once when it is new. */
function instanceId({ told }: Port): string {
  return `i-${told.uid}`;
}

function addresses({ ips }: Port, family: 4 | 6): string[] {
  return ips.filter((ip) => ip.family === family).map(formatIp);
}

function keysOf({ told }: Port): string[] {
  return (told.metadata?.[publicKeys] ?? '').split('\n').filter((line) => line.trim() !== '');
}
