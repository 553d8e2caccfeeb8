/** Access rules: what the protocol allows to be said, ranges in order, prefixes that packets can match. */
import type { RuleSpec } from '../resources/rule.ts';
import type { Concern, Report } from './concern.ts';
import { judgeMatch } from './prefixes.ts';

const withPorts: ReadonlySet<RuleSpec['protocol']> = new Set(['tcp', 'udp', 'sctp']);

/** First and last port of `443` or `8000-8100`; undefined when it is none. Leading zeros are refused. */
export function parsePortRange(text: string): { first: number; last: number } | undefined {
  const found = /^([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/.exec(text);
  if (found === null) return undefined;
  const first = Number(found[1]);
  const last = found[2] === undefined ? first : Number(found[2]);
  return first <= last && last <= 65_535 ? { first, last } : undefined;
}

export const ruleMeaning: Concern<'rule'> = {
  judge(spec, report) {
    if (spec.ports !== undefined && !withPorts.has(spec.protocol))
      report('/ports', 'request.invalid', `Protocol ${spec.protocol} has no ports: tcp, udp and sctp have`);
    spec.ports?.forEach((range, i) => {
      if (parsePortRange(range) === undefined)
        report(
          `/ports/${i}`,
          'request.invalid',
          `${range} is not a port of 1 to 65535, or two with the lower one first`,
        );
    });
    if (spec.icmp !== undefined && spec.protocol !== 'icmp')
      report('/icmp', 'request.invalid', `ICMP type and code need protocol icmp, not ${spec.protocol}`);
    judgeEnd(spec.from, '/from', report);
    judgeEnd(spec.to, '/to', report);
  },
};

function judgeEnd(end: RuleSpec['from'], field: string, report: Report): void {
  if (end.cidr !== undefined) judgeMatch(end.cidr, `${field}/cidr`, report);
}
