import { niciraVendor } from './nicira.ts';

/** What a switch sent cannot be OpenFlow as we know it: the session is lost, nothing else. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}

/**
 * Well-formed, but outside the vocabulary of src/pipeline/flow.ts: a flow somebody else put into the switch. Its record
 * can be compared and deleted all the same; only decoding refuses it.
 */
export class VocabularyError extends ProtocolError {
  override name = 'VocabularyError';
}

type ErrorGroup = { prefix: string; codes: readonly string[] };

function group(prefix: string, ...codes: string[]): ErrorGroup {
  return { prefix, codes };
}

/**
 * By OFPET_* and code, OpenFlow 1.5.1 section 7.5.4; spelt as Open vSwitch does (include/openvswitch/ofp-errors.h), which
 * differs from the specification in some places. An empty name: not defined there.
 */
const standard: readonly ErrorGroup[] = [
  group('OFPHFC_', 'INCOMPATIBLE', 'EPERM'),
  group(
    'OFPBRC_',
    ...['BAD_VERSION', 'BAD_TYPE', 'BAD_STAT', 'BAD_VENDOR', 'BAD_SUBTYPE', 'EPERM', 'BAD_LEN', 'BUFFER_EMPTY'],
    ...['BUFFER_UNKNOWN', 'BAD_TABLE_ID', 'IS_SECONDARY', 'BAD_PORT', 'BAD_PACKET', 'MULTIPART_BUFFER_OVERFLOW'],
    ...['MULTIPART_REQUEST_TIMEOUT', 'MULTIPART_REPLY_TIMEOUT', 'MULTIPART_BAD_SCHED', 'PIPELINE_FIELDS_ONLY'],
    'UNKNOWN',
  ),
  group(
    'OFPBAC_',
    ...['BAD_TYPE', 'BAD_LEN', 'BAD_VENDOR', 'BAD_VENDOR_TYPE', 'BAD_OUT_PORT', 'BAD_ARGUMENT', 'EPERM', 'TOO_MANY'],
    ...['BAD_QUEUE', 'BAD_OUT_GROUP', 'MATCH_INCONSISTENT', 'UNSUPPORTED_ORDER', 'BAD_TAG', 'BAD_SET_TYPE'],
    ...['BAD_SET_LEN', 'BAD_SET_ARGUMENT', 'BAD_SET_MASK', 'BAD_METER'],
  ),
  group(
    'OFPBIC_',
    ...['UNKNOWN_INST', 'UNSUP_INST', 'BAD_TABLE_ID', 'UNSUP_METADATA', 'UNSUP_METADATA_MASK', 'BAD_EXPERIMENTER'],
    ...['BAD_EXP_TYPE', 'BAD_LEN', 'EPERM', 'DUP_INST'],
  ),
  group(
    'OFPBMC_',
    ...['BAD_TYPE', 'BAD_LEN', 'BAD_TAG', 'BAD_DL_ADDR_MASK', 'BAD_NW_ADDR_MASK', 'BAD_WILDCARDS', 'BAD_FIELD'],
    ...['BAD_VALUE', 'BAD_MASK', 'BAD_PREREQ', 'DUP_FIELD', 'EPERM'],
  ),
  group(
    'OFPFMFC_',
    ...['UNKNOWN', 'TABLE_FULL', 'BAD_TABLE_ID', 'OVERLAP', 'EPERM', 'BAD_TIMEOUT', 'BAD_COMMAND', 'BAD_FLAGS'],
    ...['CANT_SYNC', 'BAD_PRIORITY', 'IS_SYNC'],
  ),
  group(
    'OFPGMFC_',
    ...['GROUP_EXISTS', 'INVALID_GROUP', 'WEIGHT_UNSUPPORTED', 'OUT_OF_GROUPS', 'OUT_OF_BUCKETS'],
    ...['CHAINING_UNSUPPORTED', 'WATCH_UNSUPPORTED', 'LOOP', 'UNKNOWN_GROUP', 'CHAINED_GROUP', 'BAD_TYPE'],
    ...['BAD_COMMAND', 'BAD_BUCKET', 'BAD_WATCH', 'EPERM', 'UNKNOWN_BUCKET', 'BUCKET_EXISTS'],
  ),
  group('OFPPMFC_', 'BAD_PORT', 'BAD_HW_ADDR', 'BAD_CONFIG', 'BAD_ADVERTISE', 'EPERM'),
  group('OFPTMFC_', 'BAD_TABLE', 'BAD_CONFIG', 'EPERM'),
  group('OFPQOFC_', 'BAD_PORT', 'BAD_QUEUE', 'EPERM'),
  group('OFPSCFC_', 'BAD_FLAGS', 'BAD_LEN', 'EPERM'),
  group('OFPRRFC_', 'STALE', 'UNSUP', 'BAD_ROLE', 'ID_UNSUP', 'ID_IN_USE'),
  group(
    'OFPMMFC_',
    ...['UNKNOWN', 'METER_EXISTS', 'INVALID_METER', 'UNKNOWN_METER', 'BAD_COMMAND', 'BAD_FLAGS', 'BAD_RATE'],
    ...['BAD_BURST', 'BAD_BAND', 'BAD_BAND_VALUE', 'OUT_OF_METERS', 'OUT_OF_BANDS'],
  ),
  group(
    'OFPTFFC_',
    ...['BAD_TABLE', 'BAD_METADATA', '', '', '', 'EPERM', 'BAD_CAPA', 'BAD_MAX_ENT', 'BAD_FEATURES', 'BAD_COMMAND'],
    'TOO_MANY',
  ),
  group(
    'OFPBPC_',
    ...['BAD_TYPE', 'BAD_LEN', 'BAD_VALUE', 'TOO_MANY', 'DUP_TYPE', 'BAD_EXPERIMENTER', 'BAD_EXP_TYPE'],
    ...['BAD_EXP_VALUE', 'EPERM'],
  ),
  group('OFPACFC_', 'INVALID', 'UNSUPPORTED', 'EPERM'),
  group(
    'OFPMOFC_',
    ...['UNKNOWN', 'MONITOR_EXISTS', 'INVALID_MONITOR', 'UNKNOWN_MONITOR', 'BAD_COMMAND', 'BAD_FLAGS'],
    ...['BAD_TABLE_ID', 'BAD_OUT'],
  ),
  group(
    'OFPBFC_',
    ...['UNKNOWN', 'EPERM', 'BAD_ID', 'BUNDLE_EXIST', 'BUNDLE_CLOSED', 'OUT_OF_BUNDLES', 'BAD_TYPE', 'BAD_FLAGS'],
    ...['MSG_BAD_LEN', 'MSG_BAD_XID', 'MSG_UNSUP', 'MSG_CONFLICT', 'MSG_TOO_MANY', 'MSG_FAILED', 'TIMEOUT'],
    ...['BUNDLE_IN_PROGRESS', 'SCHED_NOT_SUPPORTED', 'SCHED_FUTURE', 'SCHED_PAST'],
  ),
];

/** Open vSwitch's own, which OpenFlow 1.2 and later carry as experimenter errors, by experimenter type. */
const nicira = new Map<number, string>([
  [2, 'NXBRC_NXM_INVALID'],
  [3, 'NXBRC_NXM_BAD_TYPE'],
  [4, 'NXBRC_MUST_BE_ZERO'],
  [5, 'NXBRC_BAD_REASON'],
  [9, 'NXBRC_FM_BAD_EVENT'],
  [10, 'NXBRC_UNENCODABLE_ERROR'],
  [11, 'NXBAC_MUST_BE_ZERO'],
  [12, 'NXFMFC_HARDWARE'],
  [13, 'NXFMFC_BAD_TABLE_ID'],
  [15, 'NXBAC_BAD_CONJUNCTION'],
  [16, 'NXTTMFC_BAD_COMMAND'],
  [17, 'NXTTMFC_BAD_OPT_LEN'],
  [18, 'NXTTMFC_BAD_FIELD_IDX'],
  [19, 'NXTTMFC_TABLE_FULL'],
  [20, 'NXTTMFC_ALREADY_MAPPED'],
  [21, 'NXTTMFC_DUP_ENTRY'],
  [22, 'OFPBFC_BAD_VERSION'],
  [23, 'NXQOFC_QUEUE_ERROR'],
  [34, 'NXR_NOT_SUPPORTED'],
  [35, 'NXR_STALE'],
  [36, 'NXST_NOT_CONFIGURED'],
  [37, 'NXFMFC_INVALID_TLV_FIELD'],
  [38, 'NXTTMFC_INVALID_TLV_DEL'],
  [39, 'NXBAC_BAD_HEADER_TYPE'],
  [40, 'NXBAC_UNKNOWN_ED_PROP'],
  [41, 'NXBAC_BAD_ED_PROP'],
  [42, 'NXBAC_CT_DATAPATH_SUPPORT'],
  [43, 'NXBMC_CT_DATAPATH_SUPPORT'],
  [44, 'NXTFFC_DUP_TABLE'],
]);

/** OFPET_EXPERIMENTER. */
const experimenterError = 0xffff;

/**
 * Name of an OpenFlow 1.5 error as Open vSwitch prints it ("OFPBMC_BAD_FIELD"). Unknown ones are named by number.
 * For type 0xffff the experimenter's id and type decide, and `code` is ignored.
 */
export function errorName(type: number, code: number, experimenter?: number, experimenterType?: number): string {
  if (type === experimenterError) {
    const name = experimenter === niciraVendor ? nicira.get(experimenterType ?? code) : undefined;
    return name ?? `experimenter 0x${(experimenter ?? 0).toString(16)}, type ${experimenterType ?? code}`;
  }
  const known = standard[type];
  const name = known?.codes[code];
  return known !== undefined && name !== undefined && name !== '' ? known.prefix + name : `type ${type}, code ${code}`;
}
