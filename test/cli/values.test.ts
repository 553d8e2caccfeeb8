import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseArguments } from '../../src/cli/arguments.ts';
import { commands } from '../../src/cli/commands/index.ts';
import { type FieldModel, model } from '../../src/cli/model.ts';
import { splitLine } from '../../src/cli/shell-words.ts';
import { flagsFor, quoted, specFrom } from '../../src/cli/values.ts';

function createCommand(kind: string) {
  return commands.find((command) => command.words.join(' ') === `${kind} create`)!;
}

function parsed(kind: (typeof model.kinds)[number], line: string) {
  return specFrom(kind, parseArguments(createCommand(kind.kind), splitLine(line).words));
}

/** Values as the contract allows them: names and addresses have no comma, free text has anything. */
function value(field: FieldModel): fc.Arbitrary<unknown> {
  const plain = fc.stringMatching(/^[a-z0-9][a-z0-9:./-]{0,10}$/);
  const element = (): fc.Arbitrary<unknown> => {
    if (field.values) return fc.constantFrom(...field.values);
    if (field.type === 'integer') return fc.integer({ min: 0, max: 100_000 });
    if (field.type === 'boolean') return fc.boolean();
    if (field.type === 'map') return fc.dictionary(plain, fc.string(), { minKeys: 1, maxKeys: 3 });
    if (field.type === 'object') {
      const members = field.members!;
      if (field.oneOf) return fc.oneof(...members.map((one) => value(one).map((v) => ({ [one.name]: v }))));
      const required = members.filter((one) => one.required).map((one) => one.name);
      return fc
        .record(Object.fromEntries(members.map((one) => [one.name, value(one)])), { requiredKeys: required })
        .filter((made) => Object.keys(made).length > 0);
    }
    return field.array || field.reference || field.example
      ? plain
      : fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => !text.startsWith('--'));
  };
  return field.array ? fc.array(element(), { minLength: 1, maxLength: 3 }) : element();
}

test.each(model.kinds.map((kind) => [kind.kind, kind] as const))(
  '%s: flags written for a spec give that spec',
  (_, kind) => {
    const spec = fc.record(Object.fromEntries(kind.fields.map((field) => [field.name, value(field)])), {
      requiredKeys: [],
    });
    fc.assert(
      fc.property(spec, (asked) => {
        expect(parsed(kind, flagsFor(kind, asked).join(' '))).toEqual(asked);
      }),
      { numRuns: 200 },
    );
  },
);

test('a quoted word is one word to a shell', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (words) => {
      expect(splitLine(words.map(quoted).join(' ')).words).toEqual(words);
    }),
  );
});

const rule = model.kinds.find((kind) => kind.kind === 'rule')!;

test('lists take commas and repetition, ends take their members', () => {
  const line =
    '--action deny --priority 5 --from any --to cidr=10.0.0.0/8 --protocol tcp --port 80,443 --ports 8000-8100';
  expect(parsed(rule, line)).toEqual({
    action: 'deny',
    priority: 5,
    from: { any: true },
    to: { cidr: '10.0.0.0/8' },
    protocol: 'tcp',
    ports: ['80', '443', '8000-8100'],
  });
});

test('lists in ends are written one by one, members of members with a dot', () => {
  expect(parsed(rule, '--from cidrs=10.0.0.0/8,cidrs=fd00::/8 --to cidr=::/0')).toEqual({
    from: { cidrs: ['10.0.0.0/8', 'fd00::/8'] },
    to: { cidr: '::/0' },
  });
  const port = model.kinds.find((kind) => kind.kind === 'port')!;
  const line = '--qos toVm.rateKbps=5,dscp=8 --allowed-address-pair ip=10.0.0.9 --allowed-address-pair ip=::1,mac=a';
  expect(parsed(port, line)).toEqual({
    qos: { toVm: { rateKbps: 5 }, dscp: 8 },
    allowedAddressPairs: [{ ip: '10.0.0.9' }, { ip: '::1', mac: 'a' }],
  });
  expect(() => parsed(port, '--qos dscp=1,dscp=2')).toThrow('dscp is given twice');
});

test.each([
  ['--from web', '--from web: written as tier=TIER|group=GROUP|port=PORT|cidr=CIDR|cidrs=CIDR,…|any'],
  ['--from tiers=web', 'Did you mean tier?'],
  ['--from tier=a,port=b', 'only one of'],
  ['--priority high', '--priority high: not a whole number'],
  ['--action alow', 'Did you mean allow?'],
  ['--icmp type=8,code=x', '--icmp code x: not a whole number'],
  ['--action', '--action needs a value'],
  ['--action --priority 5', '--action needs a value'],
  ['--priority 5 --priority 6', 'given twice'],
])('%s is refused', (line, message) => {
  expect(() => parsed(rule, line)).toThrow(message);
});
