// What a zip of this portal is made of, piece by piece: `streams/wire/zips.py` writes it so. Between the files
// there is nothing that is not compared; times and CRC-32, which nobody keeps, stand in it twice.

const FULL = 0xffffffff;
const FLAGS = 0x0808;
const MANIFEST = "manifest.json";
const LONGEST = 1 << 24; // of a manifest, in bytes
const encoder = new TextEncoder();

// Yields from where to where each piece goes, whether it is right (null: not known), and whether it is of a
// file. The first one that the copy does not have whole is the last. `parts` yields those of one file.
export async function* pieces(file, { members }, parts) {
  const entries = [];
  let at = 0;
  const read = async (size) => new DataView(await file.slice(at, at + size).arrayBuffer());
  const piece = (found, wanted) => {
    const from = at;
    at += wanted.length;
    return { from, to: at, same: wanted.every((byte, n) => n < found.byteLength && found.getUint8(n) === byte) };
  };

  for (const member of [...members, { name: MANIFEST }]) {
    const name = encoder.encode(member.name);
    const head = await read(30 + name.length + 20);
    const fits = head.byteLength >= 30;
    const entry = {
      name, at, size: member.size ?? 0, crc: 0,
      time: fits ? head.getUint32(10, true) : 0,
      wide: member.size >= FULL || (fits && head.getUint16(28, true) === 20),
    };
    entries.push(entry);
    yield piece(head, local(entry));
    if (at > file.size) return;

    if (member.name === MANIFEST && member.size === undefined) {
      const rest = new Uint8Array(await file.slice(at, at + LONGEST).arrayBuffer());
      entry.size = sizeOf(rest);
      entry.found = crc32(rest.subarray(0, entry.size));
      at += entry.size;
    } else {
      for await (const part of parts(file, member, at)) {
        yield { ...part, data: true };
        if (part.to > file.size) return;
      }
      at += entry.size;
    }
    const after = await read(24);
    entry.crc = after.byteLength >= 8 ? after.getUint32(4, true) : 0;
    const told = piece(after, descriptor(entry));
    const from = told.from - (entry.found === undefined ? 0 : entry.size);
    yield { ...told, from, same: told.same && (entry.found ?? entry.crc) === entry.crc };
    if (at > file.size) return;
  }
  const directory = end(entries, at);
  yield piece(await read(directory.length), directory);
}

// Text has no such marks in it: those of what follows it, or of the directory after that.
function sizeOf(rest) {
  const mark = (kind) => rest.findIndex((byte, n) => byte === 0x50 && kind.every((one, k) => rest[n + 1 + k] === one));
  const found = [mark([0x4b, 7, 8]), mark([0x4b, 1, 2]) - 16].find((place) => place >= 0);
  return found ?? rest.length;
}

function local({ name, time, wide }) {
  const size = wide ? FULL : 0;
  const extra = wide ? packed([2, 1], [2, 16], [8, 0], [8, 0]) : [];
  return joined(
    packed([4, 0x04034b50], [2, wide ? 45 : 20], [2, FLAGS], [2, 0], [4, time], [4, 0], [4, size], [4, size],
      [2, name.length], [2, extra.length]),
    name, extra,
  );
}

function descriptor({ crc, size, wide }) {
  const width = wide ? 8 : 4;
  return packed([4, 0x08074b50], [4, crc], [width, size], [width, size]);
}

function central({ name, time, crc, size, wide, at }) {
  const large = [size, size, at].filter((value) => value >= FULL);
  const extra = large.length ? packed([2, 1], [2, 8 * large.length], ...large.map((value) => [8, value])) : [];
  const version = wide || large.length ? 45 : 20;
  const short = Math.min(size, FULL);
  return joined(
    packed([4, 0x02014b50], [2, (3 << 8) | version], [2, version], [2, FLAGS], [2, 0], [4, time], [4, crc],
      [4, short], [4, short], [2, name.length], [2, extra.length], [2, 0], [2, 0], [2, 0], [4, 0o100644 * 65536],
      [4, Math.min(at, FULL)]),
    name, extra,
  );
}

function end(entries, at) {
  const directory = joined(...entries.map(central));
  const [count, size] = [entries.length, directory.length];
  const wide = at < FULL ? [] : packed(
    [4, 0x06064b50], [8, 44], [2, (3 << 8) | 45], [2, 45], [4, 0], [4, 0], [8, count], [8, count], [8, size],
    [8, at], [4, 0x07064b50], [4, 0], [8, at + size], [4, 1],
  );
  const last = [[4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, Math.min(at, FULL)], [2, 0]];
  return joined(directory, wide, packed(...last));
}

// Numbers of so many bytes, the least significant first.
function packed(...fields) {
  const bytes = [];
  for (const [width, value] of fields) {
    for (let n = 0, left = value; n < width; n += 1, left = Math.floor(left / 256)) bytes.push(left % 256);
  }
  return Uint8Array.from(bytes);
}

function joined(...parts) {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function crc32(bytes) {
  let crc = FULL;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ FULL) >>> 0;
}
