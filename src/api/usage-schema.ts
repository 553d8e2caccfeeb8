/** What is used, for the OpenAPI document. */
import Type from 'typebox';

const count = Type.Integer({ minimum: 0 });

const Traffic = Type.Object({ packets: count, bytes: count });

const figures = {
  received: Type.Unsafe({ ...Traffic, description: 'What came to the VM, or to the public address' }),
  sent: Traffic,
  since: Type.Integer({ description: 'When it was ordered, milliseconds since the epoch: nothing before is counted' }),
  at: Type.Integer({ description: 'When the figures last changed, alike' }),
};

export const UsageSchema = Type.Object(
  { ...figures, complete: Type.Boolean({ description: 'Whether every switch concerned could be asked just now' }) },
  { $id: 'Usage' },
);

export const UsageListSchema = Type.Object(
  {
    items: Type.Array(
      Type.Object({
        kind: Type.Unsafe<string>({ type: 'string', enum: ['port', 'public-ip'] }),
        path: Type.String(),
        uid: Type.String({ description: 'A path may be used again, a uid never' }),
        ...figures,
        until: Type.Optional(Type.Integer({ description: 'When it was deleted, alike: the figures are final' })),
      }),
    ),
    next: Type.Optional(Type.String({ description: 'Cursor of the next page; missing on the last one' })),
    until: Type.Integer({
      description: 'To be given as since for what changes after this list; the same on every page',
    }),
  },
  { $id: 'UsageList' },
);
