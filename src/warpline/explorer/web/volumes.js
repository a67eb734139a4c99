// Volumes as they were kept, and what is read of them. Indices are (x, y, z), x fastest; x runs to
// the left, y to the back, z to the head.
"use strict";

warpline.volumes = (() => {
  async function unpack(text, bytes, what) {
    let found;
    try {
      const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      found = new Uint8Array(await new Response(stream).arrayBuffer());
    } catch (error) {
      throw new Error(`The ${what} is broken: it cannot be unpacked. ${warpline.again()}`);
    }
    if (found.length !== bytes) {
      throw new Error(`The ${what} is broken: it has ${found.length} bytes, not ${bytes}. ${warpline.again()}`);
    }
    return found;
  }

  async function pair(content) {
    const size = [...content.shape].reverse();
    const bytes = size[0] * size[1] * size[2];
    const parts = ["fixed", "moving", ...(content.fixedLabels ? ["fixedLabels", "movingLabels"] : [])];
    const arrays = await Promise.all(parts.map((p) => unpack(content[p], bytes, `${p} volume`)));
    const found = { size, spacing: content.spacing, levels: Float32Array.from(content.levels), hu: content.hu, names: content.names || {} };
    parts.forEach((p, i) => { found[p] = arrays[i]; });
    return found;
  }

  async function method(content, size, small) {
    const bytes = size[0] * size[1] * size[2];
    const fieldSize = [...content.fieldShape].reverse();
    const count = fieldSize[0] * fieldSize[1] * fieldSize[2];
    const parts = ["warped", "jacobian", ...(content.warpedLabels ? ["warpedLabels"] : [])];
    const [packed, inverse, ...arrays] = await Promise.all([
      unpack(content.field, 6 * count, "displacement field"),
      unpack(content.inverse.levels, count, "map of the inverse error"),
      ...parts.map((p) => unpack(content[p], bytes, `${p} volume`)),
    ]);
    const field = [0, 1, 2].map((c) => {
      const values = new Float32Array(count);
      const low = 2 * c * count, high = low + count;
      for (let i = 0; i < count; i++) {
        values[i] = (((packed[low + i] | (packed[high + i] << 8)) << 16) >> 16) * content.fieldStep;
      }
      return values;
    });
    const found = { field, fieldSize, size, folds: content.folds, landmarks: content.landmarks || [], inverse: { ...content.inverse, levels: inverse } };
    parts.forEach((p, i) => { found[p] = arrays[i]; });
    found.longest = longest(found);
    found.inverse.usual = usual(found.inverse, small);
    return found;
  }

  function longest({ field }) {
    let most = 0;
    for (let i = 0; i < field[0].length; i++) {
      most = Math.max(most, field[0][i] ** 2 + field[1][i] ** 2 + field[2][i] ** 2);
    }
    return Math.sqrt(most);
  }

  // Distances are kept by their square roots, so that a few long ones leave the short ones apart.
  const UNKNOWN = 255;
  const distance = ({ largest }, level) => largest * (level / 254) ** 2;

  // The end of their colours: what 95 % of the errors from `small` on do not exceed.
  function usual(inverse, small) {
    const counts = new Array(UNKNOWN).fill(0);
    for (const level of inverse.levels) if (level !== UNKNOWN && distance(inverse, level) >= small) counts[level]++;
    const all = counts.reduce((a, b) => a + b, 0);
    let sum = 0;
    return all ? distance(inverse, counts.findIndex((c) => (sum += c) >= 0.95 * all)) : small;
  }

  // The inverse error (mm) of the kept voxel at an index of the whole grid; null where not known.
  function inverseError({ inverse, fieldSize: n, size }, x, y, z) {
    const [i, j, k] = [x, y, z].map((v, a) => Math.min(Math.floor(((v + 0.5) * n[a]) / size[a]), n[a] - 1));
    const level = inverse.levels[i + n[0] * (j + n[1] * k)];
    return level === UNKNOWN ? null : distance(inverse, level);
  }

  // Displacement (mm along x, y, z) at an index of the whole grid, linear between the kept voxels.
  function displacement(method, x, y, z, out) {
    const at = [x, y, z], low = [0, 0, 0], part = [0, 0, 0], n = method.fieldSize;
    for (let a = 0; a < 3; a++) {
      const place = Math.min(Math.max(((at[a] + 0.5) * n[a]) / method.size[a] - 0.5, 0), n[a] - 1);
      low[a] = Math.min(Math.floor(place), Math.max(n[a] - 2, 0));
      part[a] = place - low[a];
    }
    const steps = [n[0] > 1 ? 1 : 0, n[1] > 1 ? n[0] : 0, n[2] > 1 ? n[0] * n[1] : 0];
    const base = low[0] + n[0] * (low[1] + n[1] * low[2]);
    for (let c = 0; c < 3; c++) {
      const v = method.field[c];
      let sum = 0;
      for (let corner = 0; corner < 8; corner++) {
        let weight = 1, index = base;
        for (let a = 0; a < 3; a++) {
          const up = (corner >> a) & 1;
          weight *= up ? part[a] : 1 - part[a];
          index += up ? steps[a] : 0;
        }
        if (weight) sum += weight * v[index];
      }
      out[c] = sum;
    }
    return out;
  }

  // Folds that touch one another (also by a corner) are a heap: how many voxels, and that of them
  // which is nearest to their middle. The largest first.
  function heaps({ jacobian, size: [nx, ny, nz] }) {
    const seen = new Uint8Array(jacobian.length), found = [];
    for (let start = 0; start < jacobian.length; start++) {
      if (jacobian[start] !== 0 || seen[start]) continue;
      const heap = [start], places = [];
      seen[start] = 1;
      while (heap.length) {
        const at = heap.pop(), x = at % nx, y = Math.floor(at / nx) % ny, z = Math.floor(at / (nx * ny));
        places.push([x, y, z]);
        for (let k = Math.max(z - 1, 0); k <= Math.min(z + 1, nz - 1); k++) for (let j = Math.max(y - 1, 0); j <= Math.min(y + 1, ny - 1); j++) for (let i = Math.max(x - 1, 0); i <= Math.min(x + 1, nx - 1); i++) {
          const near = i + nx * (j + ny * k);
          if (jacobian[near] === 0 && !seen[near]) { seen[near] = 1; heap.push(near); }
        }
      }
      const mean = [0, 1, 2].map((a) => places.reduce((sum, p) => sum + p[a], 0) / places.length);
      const off = (p) => p.reduce((sum, v, a) => sum + (v - mean[a]) ** 2, 0);
      found.push({ count: places.length, middle: places.reduce((a, b) => (off(b) < off(a) ? b : a)) });
    }
    return found.sort((a, b) => b.count - a.count);
  }

  // A NIfTI file of bytes, for the three-dimensional view: RAS, one byte a voxel.
  function nifti(bytes, size, spacing) {
    const buffer = new ArrayBuffer(352 + bytes.length);
    const v = new DataView(buffer);
    v.setInt32(0, 348, true);
    [3, size[0], size[1], size[2], 1, 1, 1, 1].forEach((d, i) => v.setInt16(40 + 2 * i, d, true));
    v.setInt16(70, 2, true);
    v.setInt16(72, 8, true);
    [1, spacing[0], spacing[1], spacing[2], 1, 1, 1, 1].forEach((d, i) => v.setFloat32(76 + 4 * i, d, true));
    v.setFloat32(108, 352, true);
    v.setFloat32(112, 1, true);
    v.setUint8(123, 2);
    v.setInt16(254, 1, true);
    const rows = [[-spacing[0], 0, 0, (size[0] * spacing[0]) / 2], [0, -spacing[1], 0, (size[1] * spacing[1]) / 2], [0, 0, spacing[2], (-size[2] * spacing[2]) / 2]];
    rows.flat().forEach((d, i) => v.setFloat32(280 + 4 * i, d, true));
    [0x6e, 0x2b, 0x31, 0].forEach((c, i) => v.setUint8(344 + i, c));
    new Uint8Array(buffer, 352).set(bytes);
    return buffer;
  }

  return { pair, method, displacement, inverseError, heaps, nifti };
})();
