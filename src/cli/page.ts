/** docs/cli.md: every command, from what help is made of. */
import { type Command, type Flag, sharedFlags } from './command.ts';
import { commandsOf, groups } from './commands/index.ts';
import { exitCodes } from './errors.ts';
import { usage } from './help.ts';

function markdown(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

function flagRows(flags: readonly Flag[]): string {
  const rows = flags.map((flag) => {
    const value = flag.type === 'switch' ? '' : ` ${flag.placeholder ?? 'VALUE'}`;
    const name = `${flag.short ? `-${flag.short}, ` : ''}--${flag.name}${flag.type === 'optional' ? `[=${value.trim()}]` : value}`;
    return `| \`${markdown(name)}\` | ${markdown(flag.description)}${flag.required ? ' (required)' : ''} |\n`;
  });
  return rows.length === 0 ? '' : `\n| flag | what |\n| --- | --- |\n${rows.join('')}`;
}

const sharedTitles: Record<keyof typeof sharedFlags, string> = {
  connection: 'Which controller',
  output: 'Output of resources',
  json: 'Output of the rest',
  timeout: 'Time-out',
  wait: 'Waiting for switches',
  dryRun: 'Rehearsal',
};

function section(command: Command): string {
  const details = (command.details ?? []).map((text) => `\n${markdown(text)}\n`).join('');
  const examples = command.examples.map((example) => `# ${example.says}\n${example.line}\n`).join('');
  const shared = command.shared.map((set) => `[${sharedTitles[set].toLowerCase()}](#${anchor(sharedTitles[set])})`);
  return (
    `\n### ${command.words.join(' ')}\n\n${markdown(command.summary)}.\n${details}` +
    `\n\`\`\`sh\n${usage(command)}\n\`\`\`\n\n\`\`\`sh\n${examples}\`\`\`\n` +
    flagRows(command.flags) +
    (shared.length > 0 ? `\nShared flags: ${shared.join(', ')}.\n` : '')
  );
}

function anchor(title: string): string {
  return title.toLowerCase().replaceAll(' ', '-');
}

/** The whole page. */
export function cliPage(): string {
  let text = `# The command line

<!-- Made from the resource definitions and src/cli/commands by src/cli/generate.ts; a test holds it to them. -->

\`keyway NOUN VERB\` for every resource, and what network admins reach for first. Names are written with their parents
(\`acme/shop/web1\`); parents may be left out where \`--tenant\`, \`KEYWAY_TENANT\` or the profile give them.

| exit status | means |
| --- | --- |
`;
  for (const [code, means] of Object.entries(exitCodes)) text += `| ${code} | ${means} |\n`;
  text += `
| variable | means |
| --- | --- |
| \`KEYWAY_URL\` | controller, as \`--url\` |
| \`KEYWAY_TOKEN\`, \`KEYWAY_TOKEN_FILE\` | token, or the file that holds it |
| \`KEYWAY_PROFILE\` | profile, as \`--profile\` |
| \`KEYWAY_TENANT\`, \`KEYWAY_NETWORK\` | parents that are meant when none are written |
| \`KEYWAY_COMPLETION_TIMEOUT\` | milliseconds completion waits for live names (80) |
| \`KEYWAY_DEBUG\` | show where a fault of the CLI itself came from |
| \`NO_COLOR\`, \`FORCE_COLOR\` | no colours; colours also where there is no terminal |

Flags go before the environment, and that before the profile (\`~/.config/keyway/config.yaml\`). A profile's token is sent
to the profile's controller only. \`keyway profile set\` writes it:

\`\`\`yaml
current: lab
profiles:
  lab:
    url: http://127.0.0.1:8080 # or https://HOST:PORT, unix:/PATH
    tokenFile: /var/lib/keyway/admin-token
    tenant: acme
    network: shop
\`\`\`
`;
  for (const set of Object.keys(sharedFlags) as (keyof typeof sharedFlags)[]) {
    text += `\n## ${sharedTitles[set]}\n${flagRows(sharedFlags[set])}`;
  }
  for (const group of groups) {
    text += `\n## ${group.word}\n\n${markdown(group.summary)}.\n`;
    for (const command of commandsOf(group.word)) text += section(command);
  }
  return text;
}
