/** One system's figures: the same steps for each, in the same order. */
import { setTimeout as sleep } from 'node:timers/promises';
import { timed } from '../support/figures.ts';
import { type CloudShape, firstAllowedPort, places } from '../support/shape.ts';
import { judgeSample } from '../support/trace.ts';
import { memoryOfGroups, meterCpu } from '../support/usage.ts';
import type { Contender } from './contender.ts';

export type Cpu = {
  /** Seconds of all central processes together, and of each. */
  central: number;
  parts: Record<string, number>;
  /** Seconds of all hypervisors together. */
  agents: number;
  vswitchds: number;
  databases: number;
};

export type Result = {
  name: string;
  bulk: { wall: number; cpu: Cpu };
  /** Milliseconds each; `cpu` of all of them. */
  ports: { samples: number[]; cpu: Cpu };
  rules: { samples: number[]; cpu: Cpu };
  /** Bytes: all central processes, one agent, one ovs-vswitchd at most. */
  memory: { central: number; centralPeak: number; agent: number; vswitchd: number };
  /** Of a hypervisor, on average, after the bulk. */
  flows: number;
  /** Pairs traced, and how many of them through the router. */
  judged: { bridged: number; routed: number };
};

export async function measure(
  contender: Contender,
  shape: CloudShape,
  plan: { ports: number; spare: number; rules: number },
  line: (text: string) => void,
): Promise<Result> {
  const { ordered, spares } = places(shape, plan.spare);
  const groups = {
    ...contender.central,
    agents: contender.agents,
    vswitchds: contender.farm.vswitchds,
    databases: contender.farm.databases,
  };
  const withCpu = async <T>(work: () => Promise<T>): Promise<{ result: T; cpu: Cpu }> => {
    const read = meterCpu(groups);
    const result = await work();
    const { agents = 0, vswitchds = 0, databases = 0, ...parts } = read();
    const central = Object.values(parts).reduce((sum, seconds) => sum + seconds, 0);
    return { result, cpu: { central, parts, agents, vswitchds, databases } };
  };

  await contender.orderFrame();
  await sleep(1_000);
  const bulk = await withCpu(() => timed(() => contender.orderPorts(ordered)));
  line(`${contender.name}: ${ordered.length} ports in ${(bulk.result / 1000).toFixed(2)} s`);
  const counts = await contender.farm.flowCounts();
  const flows = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const judged = await judgeSample(contender.tracer, ordered, 10);
  const pairs = `${judged.bridged} pairs of one tier and ${judged.routed} of two`;
  line(`${contender.name}: ${pairs} traced at both ends, allowed and denied, are as ordered`);

  const ports = await withCpu(async () => {
    const samples: number[] = [];
    for (const p of spares.slice(0, plan.ports)) samples.push(await timed(() => contender.orderPorts([p])));
    return samples;
  });
  line(`${contender.name}: ${ports.result.length} single ports`);
  const rules = await withCpu(async () => {
    const samples: number[] = [];
    for (let i = 0; i < plan.rules; i++) {
      // The last round puts back what the sample below is judged by.
      const tcpPort = i + shape.networks < plan.rules ? 3000 + i : firstAllowedPort;
      samples.push(await timed(() => contender.changeRule(i % shape.networks, 'web', tcpPort)));
    }
    return samples;
  });
  line(`${contender.name}: ${rules.result.length} rules changed`);
  const after = await judgeSample(contender.tracer, [...ordered, ...spares.slice(0, plan.ports)], 10);
  const memory = memoryOfGroups(groups);
  const central = Object.keys(contender.central).map((name) => memory[name]!);
  return {
    name: contender.name,
    bulk: { wall: bulk.result, cpu: bulk.cpu },
    ports: { samples: ports.result, cpu: ports.cpu },
    rules: { samples: rules.result, cpu: rules.cpu },
    memory: {
      central: central.reduce((sum, { total }) => sum + total, 0),
      centralPeak: central.reduce((sum, { peak }) => sum + peak, 0),
      agent: contender.agents.length === 0 ? 0 : memory.agents!.largest,
      vswitchd: memory.vswitchds!.largest,
    },
    flows,
    judged: { bridged: judged.bridged + after.bridged, routed: judged.routed + after.routed },
  };
}
