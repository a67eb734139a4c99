// The three-dimensional view: NiiVue, which is read only when it is asked for.
"use strict";

warpline.space = (() => {
  let library = null;

  function read() {
    library ||= new Promise((resolve, reject) => {
      const tag = document.createElement("script");
      tag.src = "niivue.umd.js";
      tag.onload = () => resolve(window.niivue);
      tag.onerror = () => { library = null; reject(new Error("niivue.umd.js cannot be read.")); };
      document.head.append(tag);
    });
    return library;
  }

  // Shows a volume of bytes, with labels over it if there are any; returns how to end it.
  async function show(canvas, pair, volume, labels, levels) {
    const { Niivue, NVImage, SLICE_TYPE } = await read();
    if (!canvas.getContext("webgl2")) throw new Error("This browser draws no three-dimensional pictures: WebGL 2 is missing or off.");
    const viewer = new Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: true, isResizeCanvas: true, logLevel: "silent" });
    await viewer.attachToCanvas(canvas);
    const image = await NVImage.new(warpline.volumes.nifti(volume, pair.size, pair.spacing), "image.nii", "gray", 1, null, levels[0], levels[1]);
    viewer.addVolume(image);
    if (labels) {
      const over = await NVImage.new(warpline.volumes.nifti(labels, pair.size, pair.spacing), "labels.nii", "warm", 0.5, null, 0.5, Math.max(1, ...Object.keys(pair.names).map(Number)));
      viewer.addVolume(over);
    }
    viewer.setSliceType(SLICE_TYPE.RENDER);
    viewer.setRenderAzimuthElevation(160, 15);
    viewer.setScale(1.5);
    return viewer;
  }

  return { show };
})();
