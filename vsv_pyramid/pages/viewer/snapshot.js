// The view as a picture.

/** A canvas of the screen's pixels, with what the pane shows, its rulers and its scale bar. */
export function snapshot(pane) {
  const { canvas } = pane.osd.drawer;
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  const { x, y } = pane.osd.viewport.getContainerSize();
  context.scale(copy.width / x, copy.height / y);
  pane.rulers.paint(context);
  if (pane.scaleBar) {
    paintBar(context, pane.scaleBar, y);
  }
  return copy;
}

function paintBar(context, [width, text], bottom) {
  const [left, y] = [16, bottom - 16];
  context.fillStyle = "rgb(255 255 255 / 80%)";
  context.fillRect(left - 6, y - 24, width + 12, 30);
  context.fillStyle = context.strokeStyle = "black";
  context.lineWidth = 2;
  context.font = "14px sans-serif";
  context.textAlign = "center";
  context.fillText(text, left + width / 2, y - 8);
  context.beginPath();
  context.moveTo(left, y - 5);
  context.lineTo(left, y);
  context.lineTo(left + width, y);
  context.lineTo(left + width, y - 5);
  context.stroke();
}
