/**
 * Every problem Keyway answers with, once. RFC 9457 `application/problem+json`: `code` is stable and what programs
 * test for; `title` is for people. docs/problems.md and the OpenAPI document are held to this table by a test.
 */

export type ProblemDefinition = {
  /** HTTP status code the problem is answered with. */
  status: number;
  /** One line for people, the same for every occurrence. */
  title: string;
  /** What the reader can do next. */
  advice: string;
};

export const problems = {
  // The request itself
  'request.malformed': {
    status: 400,
    title: 'The body is not valid JSON',
    advice: 'Send a JSON document with content-type application/json.',
  },
  'request.invalid': {
    status: 400,
    title: 'The request does not fit the schema',
    advice: 'Mend the fields named in errors; the schema is at /openapi.json.',
  },
  'request.too-large': {
    status: 413,
    title: 'The body is too large',
    advice: 'Split it; /v1/apply takes up to the limit shown in the detail.',
  },
  'request.unsupported-media-type': {
    status: 415,
    title: 'The content type is not supported',
    advice: 'Send application/json.',
  },
  'name.invalid': {
    status: 400,
    title: 'A name is not valid',
    advice: 'Use lower-case letters, digits and hyphens, 63 at most, beginning and ending with a letter or digit.',
  },
  // Who asks
  'auth.missing': {
    status: 401,
    title: 'No token was sent',
    advice: 'Send Authorization: Bearer TOKEN; the CLI reads KEYWAY_TOKEN.',
  },
  'auth.invalid': {
    status: 401,
    title: 'The token is not valid',
    advice: 'It may have expired or been revoked; ask an admin for a new one.',
  },
  'auth.forbidden': {
    status: 403,
    title: 'The token does not allow this',
    advice: 'Use a token of a role that may, or ask an admin.',
  },
  'rate.exceeded': {
    status: 429,
    title: 'Too many requests',
    advice:
      'Wait as long as Retry-After says; ask an admin for a larger quota, or put many resources in one /v1/apply.',
  },
  // What is asked for
  'resource.not-found': {
    status: 404,
    title: 'There is no such resource',
    advice: 'List the resources of this kind to see the names there are.',
  },
  'route.not-found': {
    status: 404,
    title: 'There is no such path',
    advice: 'The paths are listed at /openapi.json and /docs.',
  },
  'method.not-allowed': {
    status: 405,
    title: 'The path does not take this method',
    advice: 'The methods of each path are listed at /openapi.json.',
  },
  'resource.exists': {
    status: 412,
    title: 'The resource exists already',
    advice: 'Leave out If-None-Match to replace it.',
  },
  'resource.changed': {
    status: 412,
    title: 'The resource has changed since it was read',
    advice: 'Read it again, apply your change to what you read, and send it with the new ETag.',
  },
  'resource.in-use': {
    status: 409,
    title: 'Something depends on the resource',
    advice: 'Delete the dependants listed in errors first.',
  },
  'resource.built-in': {
    status: 409,
    title: 'The resource is built in',
    advice: 'Replace it if another content is wanted; it cannot be deleted.',
  },
  'resource.immutable': {
    status: 409,
    title: 'The field cannot be changed',
    advice: 'Delete the resource and create it anew.',
  },
  'reference.dangling': {
    status: 409,
    title: 'A reference points at nothing',
    advice: 'Create what the field refers to first, or in the same /v1/apply.',
  },
  'address.invalid': {
    status: 400,
    title: 'An address or prefix is not valid here',
    advice: 'See the field named in errors.',
  },
  'address.not-unicast': {
    status: 400,
    title: 'A unicast address is needed',
    advice: 'Multicast, loopback, link-local, IPv4-mapped and like addresses are of no use here.',
  },
  'address.family-mismatch': {
    status: 400,
    title: 'The IP versions do not fit each other',
    advice: 'Write IPv4 with IPv4 and IPv6 with IPv6: one rule or route for each.',
  },
  'address.overlap': {
    status: 409,
    title: 'The prefix overlaps another one',
    advice: 'Choose a prefix that is free in the network, and in those it is peered with.',
  },
  'address.outside': { status: 409, title: 'The address lies outside its prefix', advice: 'Choose an address inside.' },
  'address.in-use': {
    status: 409,
    title: 'The IP address is taken',
    advice: 'IPs are unique in a network; choose another or leave it out.',
  },
  'address.exhausted': {
    status: 409,
    title: 'No address is free',
    advice: 'Delete ports that are no longer needed, or order a larger tier.',
  },
  'mtu.too-large': {
    status: 400,
    title: 'The MTU is too large',
    advice: 'Ask for less, or leave it out; an admin raises it by a larger underlay (southbound.underlayMtu).',
  },
  'mtu.too-small': {
    status: 400,
    title: 'The MTU is too small',
    advice: 'IPv4 needs 576 bytes, IPv6 needs 1280.',
  },
  'route.next-hop': {
    status: 409,
    title: 'The next hop is no address of a port',
    advice: 'Name an address of a port of the network, its own or one of its allowed address pairs; no gateway.',
  },
  'route.loop': {
    status: 409,
    title: 'The route leads back to itself',
    advice: 'Choose a next hop in a tier, or a destination it does not lie in.',
  },
  'peering.self': {
    status: 400,
    title: 'A network cannot be peered with itself',
    advice: 'Name two networks of the tenant.',
  },
  'peering.duplicate': {
    status: 409,
    title: 'The networks are peered already',
    advice: 'Use the peering there is, or delete it first.',
  },
  'peering.overlap': {
    status: 409,
    title: 'Peered networks overlap',
    advice: 'Networks that are peered, and those peered with the same one, need prefixes of their own.',
  },
  'steering.repeated': {
    status: 400,
    title: 'A port is in the chain twice',
    advice: 'Name every port once; a second pass needs a port of its own.',
  },
  'steering.loop': {
    status: 400,
    title: 'The chain passes where its traffic begins or ends',
    advice: 'Leave the port out of via, or out of from and to.',
  },
  'mac.in-use': {
    status: 409,
    title: 'The MAC address is taken',
    advice: 'MACs are unique in a tenant; choose another or leave it out.',
  },
  'iface-id.in-use': {
    status: 409,
    title: 'The ifaceId is taken',
    advice: 'An ifaceId is unique in the whole cloud; leave it out to have one made.',
  },
  'hypervisor.system-id-in-use': {
    status: 409,
    title: 'Another hypervisor has this system-id',
    advice: 'Each hypervisor resource names one Open vSwitch system-id.',
  },
  'address.reserved': {
    status: 409,
    title: 'The IP address is reserved',
    advice: 'Choose another, leave it out, or take the address out of the reservation.',
  },
  // The way out
  'provider-network.duplicate': {
    status: 409,
    title: 'There is a provider network there already',
    advice:
      'Use the one there is: each VLAN of a physical network, and what is untagged on it, is one provider network.',
  },
  'provider-network.not-open': {
    status: 409,
    title: 'The tenant may not have tiers on the provider network',
    advice: 'Name the tenant among the tenants of the provider network first.',
  },
  'ip-pool.overlap': {
    status: 409,
    title: 'Pools overlap',
    advice: 'Every address of a provider network belongs to one pool; choose a prefix that is free there.',
  },
  'ip-pool.not-open': {
    status: 409,
    title: 'The tenant may not draw from the pool',
    advice: 'Choose another pool, or name the tenant among the tenants of this one.',
  },
  'ip-pool.exhausted': {
    status: 409,
    title: 'No address of the pool is free',
    advice:
      'Ask an admin for a larger pool, or delete addresses; freed ones are free once every switch has confirmed it.',
  },
  'ip-pool.none': {
    status: 409,
    title: 'There is no pool to draw from',
    advice: 'Ask an admin for a pool of public addresses.',
  },
  'public-ip.outside': {
    status: 409,
    title: 'The address is not one of the pool',
    advice: 'Leave it out to have one chosen, or name one of the ranges of the pool.',
  },
  'public-ip.in-use': {
    status: 409,
    title: 'The public address is taken',
    advice: 'Leave it out to have a free one chosen; one that was freed is free once every switch has confirmed it.',
  },
  'nat-rule.ports': {
    status: 400,
    title: 'The ports cannot be forwarded',
    advice: 'Ports are 1 to 65535, the lower one of a range first, and as many private ones as public ones.',
  },
  'nat-rule.port-in-use': {
    status: 409,
    title: 'The port of the public address is forwarded already',
    advice: 'Choose another port or another public address, or change the rule that is named.',
  },
  'nat-rule.public-ip-in-use': {
    status: 409,
    title: 'A static rule needs a public address to itself',
    advice: 'Order another public address, or delete the rules that are named.',
  },
  'nat-rule.address-in-use': {
    status: 409,
    title: 'The address of the port has a public address already',
    advice: 'An address goes out as one public address: delete the other static rule first.',
  },
  'nat-rule.source-in-use': {
    status: 409,
    title: 'The tier goes out by another rule already',
    advice: 'Each tier, and the network as a whole, has one source rule: change the one that is named.',
  },
  'nat-rule.no-ipv4': {
    status: 409,
    title: 'The port has no IPv4 address',
    advice: 'Give the port an IPv4 address: IPv6 is not translated.',
  },
  'nat-rule.address': {
    status: 409,
    title: 'The address is none of the port',
    advice: 'Name one of the IPv4 addresses of the port, or leave it out.',
  },
  'nat-rule.tier': {
    status: 409,
    title: 'The tier has no part in the way out',
    advice: 'Ports straight on a provider network are outside already: name a tier that is not.',
  },
  'service.not-offered': {
    status: 409,
    title: 'The offering of the network does not have the service',
    advice: 'Order the network under an offering that has it.',
  },
  'trunk.overlap': {
    status: 409,
    title: 'Trunks of a physical network share a VLAN',
    advice: 'Each VLAN belongs to one trunk; take it from one of them.',
  },
  'vlan.invalid': {
    status: 400,
    title: 'Not a VLAN, or not a range of them',
    advice: 'VLAN ids are 1 to 4094, the lower one of a range first, each only once.',
  },
  'vlan.outside': {
    status: 409,
    title: 'The VLAN is not one of the trunk',
    advice: 'Leave it out to have one chosen, or add it to the VLANs of the trunk.',
  },
  'vlan.in-use': {
    status: 409,
    title: 'The VLAN is taken',
    advice: 'Choose another or leave it out; one that was freed is free once every switch has confirmed it.',
  },
  'vlan.exhausted': {
    status: 409,
    title: 'No VLAN of the trunk is free',
    advice: 'Give the trunk more VLANs, delete attachments, or bring back the hypervisors that hold freed ones.',
  },
  'vlan-attachment.tier': {
    status: 409,
    title: 'The tier cannot be joined to a VLAN',
    advice: 'A tier on a provider network is outside the overlay already; choose another tier.',
  },
  'port.attachment': {
    status: 409,
    title: 'The device does not fit its attachment',
    advice: 'A device behind a VLAN attachment is a port of the tier the attachment joins.',
  },
  'quota.exceeded': {
    status: 409,
    title: 'The quota is used up',
    advice: 'Delete what is no longer needed or ask an admin for a larger quota.',
  },
  'ids.exhausted': {
    status: 503,
    title: 'No id is free',
    advice: 'Bring back or declare lost the hypervisors that hold freed ids.',
  },
  // Change feed, waiting, store
  'events.compacted': {
    status: 410,
    title: 'The revision is no longer kept',
    advice: 'List again and follow events from the revision the list returns.',
  },
  'cursor.invalid': { status: 400, title: 'The cursor is not valid', advice: 'Start the list anew, without a cursor.' },
  'wait.timeout': {
    status: 504,
    title: 'Not every switch has acknowledged in time',
    advice: 'The write stands; read status to see what is outstanding.',
  },
  'store.unavailable': {
    status: 503,
    title: 'The store did not take the write',
    advice: 'Nothing has changed. See the log of the controller, and the disk.',
  },
  'store.conflict': {
    status: 409,
    title: 'Somebody else wrote at the same time',
    advice: 'Read again and repeat the change.',
  },
  'store.too-new': {
    status: 500,
    title: 'The store was written by a newer Keyway',
    advice: 'Start the version that wrote it, or restore a backup.',
  },
  // Switches
  'hypervisor.not-connected': {
    status: 409,
    title: 'The hypervisor is not connected',
    advice: 'See its status; on the hypervisor: ovs-vsctl show.',
  },
  'trace.port-not-bound': {
    status: 409,
    title: 'The port to trace from is not bound',
    advice: "See its status: no hypervisor shows a VM's interface with its ifaceId.",
  },
  'trace.not-possible': {
    status: 409,
    title: 'No packet can be sent from there',
    advice: 'Trace without live, or see the detail.',
  },
  'controller.not-ready': {
    status: 503,
    title: 'The controller is not ready',
    advice: 'It has just started, or lacks what the detail says; ask again.',
  },
  internal: {
    status: 500,
    title: 'Something went wrong in Keyway',
    advice: 'Report it with the id in instance; the log has the rest.',
  },
} as const satisfies Record<string, ProblemDefinition>;

export type ProblemCode = keyof typeof problems;

export type FieldError = {
  /** JSON pointer (RFC 6901) into the body; '' is the whole body. */
  field: string;
  code: string;
  message: string;
};

/** An error that is an answer: it carries a code of the table above. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly detail: string;
  readonly errors: FieldError[];
  /** Seconds after which it may be asked again (RFC 9110 section 10.2.3). */
  readonly retryAfter: number | undefined;

  constructor(
    code: ProblemCode,
    detail: string,
    errors: FieldError[] = [],
    { retryAfter }: { retryAfter?: number } = {},
  ) {
    super(`${code}: ${detail}`);
    this.code = code;
    this.detail = detail;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }

  get status(): number {
    return problems[this.code].status;
  }

  /** The RFC 9457 document. */
  toJSON(): ProblemDocument {
    const { status, title, advice } = problems[this.code];
    return {
      type: `https://keyway.invalid/problems/${this.code}`,
      status,
      title,
      code: this.code,
      detail: this.detail,
      advice,
      errors: this.errors,
    };
  }
}

export type ProblemDocument = {
  type: string;
  status: number;
  title: string;
  code: string;
  detail: string;
  advice: string;
  errors: FieldError[];
};

/** A problem about one field, the usual case. */
export function fieldProblem(code: ProblemCode, field: string, message: string): Problem {
  return new Problem(code, message, [{ field, code, message }]);
}
