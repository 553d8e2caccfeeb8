/** Field types that several resources share. Formats are checked by pattern here and by meaning in checks. */
import Type from 'typebox';

const namePattern = '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$';

export const Name = Type.String({
  pattern: namePattern,
  description: 'Lower-case letters, digits and hyphens, 63 at most',
});

export const nameExpression = new RegExp(namePattern);

export const Description = Type.String({ maxLength: 1024, description: 'Free text; never reaches a switch' });

export const Labels = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9]([-A-Za-z0-9_./]{0,61}[A-Za-z0-9])?$' }),
  Type.String({ maxLength: 255 }),
  {
    additionalProperties: false,
    description: 'Free labels, for filters and for prune',
  },
);

export const Ipv4 = Type.String({
  pattern: '^(\\d{1,3}\\.){3}\\d{1,3}$',
  description: 'IPv4 address',
  examples: ['10.0.1.10'],
});

export const Ipv4Prefix = Type.String({
  pattern: '^(\\d{1,3}\\.){3}\\d{1,3}/\\d{1,2}$',
  description: 'IPv4 prefix without host bits',
  examples: ['10.0.0.0/16'],
});

const ipv4Text = '(\\d{1,3}\\.){3}\\d{1,3}';
/** Anything with a colon, RFC 4291 in any of its forms: what it means is judged by checks. */
const ipv6Text = '[0-9a-fA-F:.]{0,44}:[0-9a-fA-F:.]{0,44}';

export const Ipv6 = Type.String({
  pattern: `^${ipv6Text}$`,
  description: 'IPv6 address, kept in the form of RFC 5952',
  examples: ['fd00:0:0:1::10'],
});

export const Ipv6Prefix = Type.String({
  pattern: `^${ipv6Text}/\\d{1,3}$`,
  description: 'IPv6 prefix without host bits',
  examples: ['fd00::/48'],
});

export const Ip = Type.String({
  pattern: `^(${ipv4Text}|${ipv6Text})$`,
  description: 'IPv4 or IPv6 address',
  examples: ['10.0.1.10', 'fd00:0:0:1::10'],
});

export const IpPrefix = Type.String({
  pattern: `^(${ipv4Text}/\\d{1,2}|${ipv6Text}/\\d{1,3})$`,
  description: 'IPv4 or IPv6 prefix without host bits',
  examples: ['10.0.0.0/16', 'fd00::/48'],
});

export const IpOrPrefix = Type.String({
  pattern: `^(${ipv4Text}(/\\d{1,2})?|${ipv6Text}(/\\d{1,3})?)$`,
  description: 'IPv4 or IPv6 address, or a prefix without host bits',
  examples: ['10.0.1.100', '192.168.7.0/24', 'fd00:0:0:1::100'],
});

export const Mac = Type.String({
  pattern: '^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$',
  description: 'Unicast MAC address',
  examples: ['02:00:00:00:00:0a'],
});

export const IfaceId = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern: '^[!-~]+$',
  description: 'external_ids:iface-id of the VM interface, globally unique',
});

/** RFC 1123, 2.1; lower case, as names are compared without regard to it. */
const dnsLabel = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';

export const Hostname = Type.String({ pattern: `^${dnsLabel}$`, description: 'DNS label', examples: ['www'] });

export const DomainName = Type.String({
  maxLength: 190,
  pattern: `^${dnsLabel}(\\.${dnsLabel})*$`,
  description: 'DNS name without the dot at its end',
  examples: ['shop.acme.example'],
});

export const PortRange = Type.String({
  pattern: '^\\d{1,5}(-\\d{1,5})?$',
  description: 'A port or a range of ports',
  examples: ['443', '8000-8100'],
});

export const Ipv4Range = Type.String({
  pattern: `^${ipv4Text}(-${ipv4Text})?$`,
  description: 'IPv4 address, or the first and the last of a range',
  examples: ['10.0.1.100-10.0.1.150', '10.0.1.9'],
});

export const Vlan = Type.Integer({
  minimum: 1,
  maximum: 4094,
  description: 'VLAN id (IEEE 802.1Q); untagged when left out',
});

export const VlanRange = Type.String({
  pattern: '^\\d{1,4}(-\\d{1,4})?$',
  description: 'A VLAN id or a range of them, 1-4094',
  examples: ['100-199', '300'],
});

export const PhysicalNetwork = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern: '^[^\\s,:]+$',
  description: 'Name of a physical network as in external_ids:keyway-bridge-mappings of hypervisors',
  examples: ['physnet1'],
});
