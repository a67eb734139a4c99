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

  async function method(content, size) {
    const bytes = size[0] * size[1] * size[2];
    const fieldSize = [...content.fieldShape].reverse();
    const count = fieldSize[0] * fieldSize[1] * fieldSize[2];
    const parts = ["warped", "jacobian", ...(content.warpedLabels ? ["warpedLabels"] : [])];
    const [packed, ...arrays] = await Promise.all([
      unpack(content.field, 6 * count, "displacement field"),
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
    const found = { field, fieldSize, size, folds: content.folds, landmarks: content.landmarks || [] };
    parts.forEach((p, i) => { found[p] = arrays[i]; });
    found.longest = longest(found);
    return found;
  }

  function longest({ field }) {
    let most = 0;
    for (let i = 0; i < field[0].length; i++) {
      most = Math.max(most, field[0][i] ** 2 + field[1][i] ** 2 + field[2][i] ** 2);
    }
    return Math.sqrt(most);
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

  return { pair, method, displacement, nifti };
})();
