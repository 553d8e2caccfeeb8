/** docs/problems.md, made from the problem table. */
import { type ProblemCode, type ProblemDefinition, problems } from '../problems.ts';

export function problemsDocument(): string {
  const rows = (Object.entries(problems) as [ProblemCode, ProblemDefinition][])
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { status, title, advice }]) => `| \`${code}\` | ${status} | ${title} | ${advice} |`);
  return `# Problems

<!-- Made by \`npm run docs\` from src/problems.ts; a test fails when they differ. -->

Every error is answered as \`application/problem+json\` (RFC 9457):

\`\`\`json
{
  "type": "https://keyway.invalid/problems/address.in-use",
  "status": 409,
  "title": "The IP address is taken",
  "code": "address.in-use",
  "detail": "10.0.1.10 is taken by tenants/acme/networks/shop/ports/web1",
  "advice": "IPs are unique in a network; choose another or leave it out.",
  "errors": [{ "field": "/ips/0", "code": "address.in-use", "message": "10.0.1.10 is taken by …" }],
  "instance": "urn:uuid:0a6d…"
}
\`\`\`

- \`code\` is stable: programs test for it. \`title\` and \`advice\` belong to the code; \`detail\` is about this occurrence.
- \`errors\` lists every fault that was found, not the first only. \`field\` is a JSON pointer (RFC 6901) into the body
  that was sent: \`/cidr\` of a \`PUT\`, \`/resources/3/spec/cidr\` of a \`POST /v1/apply\`; a query parameter is named
  \`?limit\`. Its own \`code\` is one of the table below, or says what is wrong with the value: \`required\`, \`unknown\` (there is
  no such field), \`type\`, \`value\` (not one of those allowed), \`format\`, \`range\`, \`length\`, \`unique\`.
- \`instance\` names the request; the controller's log has the same id.

| code | status | title | what to do |
| --- | --- | --- | --- |
${rows.join('\n')}
`;
}
