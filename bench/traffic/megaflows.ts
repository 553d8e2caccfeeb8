/** What the datapath has learnt: its megaflows, as ovs-appctl(8) dpctl/dump-flows prints them. */

export type Megaflows = {
  /** All of them, the underlay's included. */
  total: number;
  /** How many of each form: the fields a megaflow matches, with their masks, and the connection state it is for. */
  forms: Map<string, number>;
};

export function parseMegaflows(dump: string): Megaflows {
  const forms = new Map<string, number>();
  let total = 0;
  for (const line of dump.split('\n')) {
    const match = /^(?:ufid:\S+ )?(.*?), packets:\d+/.exec(line)?.[1];
    if (match === undefined) continue;
    total++;
    const form = formOf(match);
    forms.set(form, (forms.get(form) ?? 0) + 1);
  }
  return { total, forms };
}

/** Of these the value tells more than that there is one. */
const telling = new Set(['ct_state', 'eth_type', 'proto', 'recirc_id', 'tunnel_flags']);

/** `ipv4(src=10.0.1.10,dst=10.0.2.8/255.255.255.248,proto=6)` becomes `ipv4(src,dst/29,proto=6)`. */
function formOf(match: string): string {
  const parts: string[] = [];
  for (const [, key = '', inside = ''] of match.matchAll(/([a-z_0-9]+)\(((?:[^()]|\([^()]*\))*)\)/g)) {
    if (key === 'recirc_id') parts.push(inside === '0' ? 'first' : 'recirculated');
    else if (telling.has(key)) parts.push(`${key}(${inside})`);
    else parts.push(inside.includes('=') ? `${key}(${inside.split(',').map(field).join()})` : key + maskOf(inside));
  }
  return parts.join(' ');
}

function field(text: string): string {
  const [name = '', value = ''] = text.split('=');
  if (telling.has(name)) return text;
  return name + maskOf(value);
}

function maskOf(value: string): string {
  const [, mask] = value.split('/');
  if (mask === undefined) return '';
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(mask)) return `/${mask}`;
  const bits = mask
    .split('.')
    .map((byte) => Number(byte).toString(2).padStart(8, '0'))
    .join('');
  return /^1*0*$/.test(bits) ? `/${bits.indexOf('0') < 0 ? 32 : bits.indexOf('0')}` : `/${mask}`;
}
