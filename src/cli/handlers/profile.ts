/** `profile list|use|set|delete`. */

import { resolve as resolvePath } from 'node:path';
import { parseUrl } from '../client.ts';
import type { Handler } from '../command.ts';
import { UsageError } from '../errors.ts';
import { changeProfiles, configFile, parentKinds, readProfiles } from '../profiles.ts';
import { defaultUrl } from '../settings.ts';
import { safe } from '../style.ts';
import { didYouMean } from '../suggest.ts';
import { cell, Table } from '../table.ts';

export const list: Handler = async ({ io, session }) => {
  const { current, profiles } = await readProfiles(io);
  const rows = Object.entries(profiles).map(([name, profile]) => ({ name, current: name === current, ...profile }));
  if (await session.printAs(session.format('text'), { current: current ?? null, profiles })) return 0;
  if (rows.length === 0) {
    session.note(`No profiles in ${configFile(io)}. Make one: keyway profile set NAME --url URL --token-file FILE\n`);
    return 0;
  }
  const columns = ['', 'NAME', 'URL', 'TOKEN-FILE', ...parentKinds.map((kind) => kind.toUpperCase())];
  session.print(
    new Table(
      columns.map((title) => ({ title })),
      session.paint,
      session.columns,
    ).whole(
      rows.map((row) => [
        row.current ? '*' : '',
        safe(row.name),
        safe(row.url ?? defaultUrl),
        cell(row.tokenFile),
        ...parentKinds.map((kind) => cell(row.defaults[kind])),
      ]),
    ),
  );
  return 0;
};

export const use: Handler = async ({ io, args, session }) => {
  const name = args.positionals[0]!;
  const { profiles } = await readProfiles(io);
  if (!Object.hasOwn(profiles, name)) {
    const names = Object.keys(profiles);
    throw new UsageError(
      `There is no profile ${name}.${didYouMean(name, names)}`,
      names.length > 0 ? `There are: ${names.join(', ')}` : `Make it: keyway profile set ${name} --url URL`,
    );
  }
  await changeProfiles(io, [[['current'], name]]);
  session.print(`Profile ${name} is in use.\n`);
  return 0;
};

export const set: Handler = async ({ io, args, session }) => {
  const name = args.positionals[0]!;
  if (!/^[A-Za-z0-9][\w.-]*$/.test(name))
    throw new UsageError(`${name} is no name for a profile`, 'Use letters, digits, dots and hyphens.');
  const { current, profiles } = await readProfiles(io);
  const changes: [string[], unknown][] = [];
  const url = args.value('url');
  if (url !== undefined) {
    parseUrl(url);
    changes.push([['profiles', name, 'url'], url]);
  }
  const file = args.value('token-file');
  if (file !== undefined) changes.push([['profiles', name, 'tokenFile'], resolvePath(file)]);
  for (const kind of parentKinds) {
    const value = args.value(kind);
    if (value !== undefined) changes.push([['profiles', name, kind], value === '' ? undefined : value]);
  }
  if (changes.length === 0)
    throw new UsageError('Nothing to set', 'Give --url, --token-file or a default: keyway profile set --help');
  const first = current === undefined && Object.keys(profiles).length === 0;
  if (first) changes.unshift([['current'], name]);
  await changeProfiles(io, changes);
  session.print(`Profile ${name} is kept in ${configFile(io)}.${first ? ' It is in use.' : ''}\n`);
  return 0;
};

export const remove: Handler = async ({ io, args, session }) => {
  const name = args.positionals[0]!;
  const { current, profiles } = await readProfiles(io);
  if (!Object.hasOwn(profiles, name))
    throw new UsageError(`There is no profile ${name}`, 'List them: keyway profile list');
  await changeProfiles(io, [
    [['profiles', name], undefined],
    ...(current === name ? [[['current'], undefined] as [string[], unknown]] : []),
  ]);
  session.print(`Profile ${name} is gone.${current === name ? ' No profile is in use now.' : ''}\n`);
  return 0;
};
