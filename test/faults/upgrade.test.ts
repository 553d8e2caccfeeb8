/** A new pipeline generation takes over from the old one while packets flow: one atomic bundle, nobody notices. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../../scripts/house.ts';
import { ipOf, openCloud } from '../e2e/cloud.ts';
import { inSync } from './cloud-state.ts';
import { startPing, startPush } from './traffic.ts';

/** This program with another pipeline: every table but the first and those beside the pipeline (250 and above) moved, and the generation raised. */
function nextVersion(directory: string): string {
  mkdirSync(directory);
  for (const part of ['src', 'plugins', 'package.json'])
    cpSync(join(root, part), join(directory, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  const edit = (file: string, change: (text: string) => string) => {
    const path = join(directory, file);
    const before = readFileSync(path, 'utf8');
    const after = change(before);
    expect(after, `${file} was to change`).not.toBe(before);
    writeFileSync(path, after);
  };
  edit('src/pipeline/cookie.ts', (text) => text.replace('generation = 2;', 'generation = 3;'));
  edit('src/pipeline/tables.ts', (text) =>
    text.replace(/^( {4}id: )(\d+),/gm, (all, id, n) =>
      Number(n) === 0 || Number(n) >= 250 ? all : `${id}${Number(n) + 100},`,
    ),
  );
  return directory;
}

test('the next version, with every table moved, takes over without a packet lost', {
  timeout: 90_000,
}, async (context) => {
  await using cloud = await openCloud(context);
  const { lab, hv1, hv2, acme } = cloud;
  await inSync(lab, [hv1, hv2]);
  const source = nextVersion(join(lab.directory, 'next'));
  const count = async () => (await hv1.ofctl('dump-flows')).split('\n').filter((l) => l.includes('cookie=')).length;
  const before = await count();
  const ping = await startPing(lab, acme.web1, ipOf('web2'));
  const push = await startPush(lab, acme.web2, acme.web1, ipOf('web2'), 80);
  await lab.killController();
  await lab.startController(undefined, source);
  await inSync(lab, [hv1, hv2]);
  const flows = await hv1.ofctl('dump-flows');
  expect(flows).toContain('cookie=0x30');
  expect(flows).not.toMatch(/cookie=0x2[0-9a-f]{13},/);
  expect(flows).toContain('table=124');
  expect(await count()).toBe(before);
  const [pings, pushed] = [await ping.stop(), await push.stop()];
  console.log(
    `pipeline replaced: ${pings.lost.length} of ${pings.sent} pings lost, longest gap in the TCP stream ${Math.round(pushed.longestGap)} ms`,
  );
  expect(pings.lost).toEqual([]);
  expect(pushed).toMatchObject({ inOrder: true });
  expect(pushed.broken).toBeUndefined();

  // And back again: a version that was rolled back finds its way too.
  await lab.killController();
  await lab.startController();
  await inSync(lab, [hv1, hv2]);
  expect(await acme.web1.ping(ipOf('web2'))).toBe(true);
  expect(await count()).toBe(before);
});
