/**
 * The floor under "one port": bundles of as many flows sent straight to as many switches at once, with both barriers,
 * on a bridge of their own, with nothing computed and nothing stored.
 */
import { connect, type Socket } from 'node:net';
import { ByteWriter } from '../../plugins/openvswitch/openflow/bytes.ts';
import { bundleAddFlow } from '../../plugins/openvswitch/openflow/flow-mod.ts';
import { Framer, messageType } from '../../plugins/openvswitch/openflow/frame.ts';
import { barrierRequest, bundleControl, bundleType, hello } from '../../plugins/openvswitch/openflow/messages.ts';
import { encodeFlows, forEachRecord } from '../../plugins/openvswitch/openflow/record.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import type { DummySwitch } from '../../test/support/open-vswitch.ts';

const bridge = 'br-floor';

class Session {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, () => void>();
  #xid = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const framer = new Framer();
    socket.on('data', (chunk) => {
      for (const m of framer.push(chunk)) {
        if (m.type === messageType.barrierReply) this.#waiting.get(m.xid)?.();
        if (m.type === messageType.error) throw new Error('the switch refused a flow of the floor');
      }
    });
    socket.write(hello(0));
  }

  static open(path: string): Promise<Session> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('connect', () => resolve(new Session(socket)));
      socket.once('error', reject);
    });
  }

  barrier(before: Buffer): Promise<void> {
    const xid = this.#xid++;
    return new Promise((resolve) => {
      this.#waiting.set(xid, resolve);
      this.#socket.write(Buffer.concat([before, barrierRequest(xid)]));
    });
  }

  async bundle(flows: readonly Flow[]): Promise<void> {
    const id = this.#xid++;
    const writer = new ByteWriter();
    const bytes = encodeFlows(flows);
    forEachRecord(bytes, (offset) => bundleAddFlow(writer, this.#xid++, id, bytes, offset, 'add'));
    await this.barrier(Buffer.concat([bundleControl(this.#xid++, id, bundleType.open), writer.view()]));
    await this.barrier(bundleControl(this.#xid++, id, bundleType.commit));
  }

  close(): void {
    this.#socket.destroy();
  }
}

function flowsOf(round: number, count: number): Flow[] {
  return Array.from({ length: count }, (_, i) => ({
    table: 40,
    priority: 100,
    cookie: BigInt(round),
    match: { metadata: round, eth_type: 0x0800, eth_dst: 0x0200_0000_0000 + round, ipv4_dst: 0x0a00_0000 + i },
    actions: [{ type: 'setField', field: 'reg7', value: i }],
    goto: 72,
  }));
}

/** Milliseconds of each round. @param plan flows for the first switch and for each of the others */
export async function measureFloor(
  switches: DummySwitch[],
  plan: { first: number; others: number; rounds: number },
): Promise<number[]> {
  const sessions: Session[] = [];
  for (const s of switches) {
    await s.vsctl(
      'add-br',
      bridge,
      '--',
      'set',
      'Bridge',
      bridge,
      'datapath_type=dummy',
      'fail_mode=secure',
      'protocols=OpenFlow15',
    );
    sessions.push(await Session.open(s.managementPath(bridge)));
  }
  const samples: number[] = [];
  for (let round = 1; round <= plan.rounds; round++) {
    const start = performance.now();
    await Promise.all(sessions.map((s, i) => s.bundle(flowsOf(round, i === 0 ? plan.first : plan.others))));
    samples.push(performance.now() - start);
  }
  for (const [i, s] of switches.entries()) {
    sessions[i]!.close();
    await s.vsctl('del-br', bridge);
  }
  return samples;
}
