import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab, LabHypervisor, LabProgram } from './lab.ts';

/**
 * `keyway gateway-host` on a gateway, with a token of its own, as its admin would start it. Started again it goes on with the
 * same data. @param more flags beside
 */
export async function startGatewayHost(lab: Lab, gateway: LabHypervisor, more: string[] = []): Promise<LabProgram> {
  const { name, directory } = gateway;
  const tokenFile = join(lab.directory, `${name}.token`);
  const dataDir = join(lab.directory, `${name}-services`);
  if (mkdirSync(dataDir, { recursive: true, mode: 0o700 }) !== undefined) {
    const role = { role: 'gateway-host', hypervisor: name, description: `gateway host ${name}` };
    const { secret } = (await lab.admin('POST', '/v1/tokens', role)) as { secret: string };
    writeFileSync(tokenFile, secret, { mode: 0o600 });
  }
  return gateway.startKeyway([
    'gateway-host',
    ...['--controller', lab.apiUrl(), '--insecure', '--token-file', tokenFile, '--hypervisor', name],
    ...['--data-dir', dataDir, '--database', join(directory, 'db.sock')],
    ...more,
  ]);
}
