/**
 * A trace as a tenant is told of it: what was decided and what it can order. Where its VMs are, the flows, and what
 * the operator's policies are called is none of its business; so nothing is told that depends on the first.
 */
import type { Answer, Decision, Translated, Verdict } from './answer.ts';

/** Reasons that tell whether sender and receiver are on one hypervisor. */
const placing: ReadonlySet<Verdict['reason']> = new Set(['tunnel-key', 'receiver-not-programmed', 'sender-not-known']);

/** @param tenant name of the tenant that asks */
export function forTenant(answer: Answer, tenant: string): Answer {
  const { asked, neighbour, translated, opening, live } = answer;
  const verdict = answer.beyond === true ? leaves(answer) : answer.verdict;
  return {
    asked,
    ...(neighbour === undefined ? {} : { neighbour }),
    hops: [],
    ...(translated === undefined
      ? {}
      : { translated: translated.filter(({ natRule }) => natRule.startsWith(`tenants/${tenant}/`)).map(publicOf) }),
    verdict: verdictFor(verdict, tenant),
    ...(opening === undefined ? {} : { opening: verdictFor(opening, tenant) }),
    ...(live === undefined ? {} : { live: { sent: live.sent, arrived: live.arrived, text: live.text } }),
  };
}

/** What it comes to is another tenant's: as if that were on the other side of the world. */
function leaves({ verdict, translated = [] }: Answer): Verdict {
  const out = translated.find(({ direction }) => direction === 'out');
  const text = out === undefined ? 'Leaves the network' : `Leaves the network as ${out.address}`;
  const decisions = verdict.decisions.filter(({ side }) => side === 'sender');
  return { outcome: 'delivered', reason: 'outside', text, decisions, needs: [] };
}

function publicOf({ direction, natRule, publicIp, address }: Translated): Translated {
  return { direction, natRule, publicIp, address };
}

function verdictFor(verdict: Verdict, tenant: string): Verdict {
  const decisions = verdict.decisions.map((one) => decisionFor(one, tenant));
  if (placing.has(verdict.reason)) {
    const text = 'The switches are not in line yet';
    return {
      outcome: 'refused',
      reason: 'not-programmed',
      text,
      decisions,
      needs: ['Status programmed of both ports'],
    };
  }
  if (verdict.outcome === 'unknown') {
    const text = 'A host on the way cannot be asked just now';
    return { outcome: 'unknown', reason: 'not-followed', text, decisions: [], needs: [] };
  }
  return { ...verdict, decisions };
}

function decisionFor({ author, ...decision }: Decision, tenant: string): Decision {
  if (decision.by === 'policy')
    return { side: decision.side, by: 'policy', action: decision.action, text: 'a policy of the operator' };
  if (author === undefined) return decision;
  const { at, role } = author;
  return { ...decision, author: author.tenant === tenant ? author : { at, role } };
}
