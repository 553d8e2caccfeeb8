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

export const PortRange = Type.String({
  pattern: '^\\d{1,5}(-\\d{1,5})?$',
  description: 'A port or a range of ports',
  examples: ['443', '8000-8100'],
});
