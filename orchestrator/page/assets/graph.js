// Where the tasks of a graph stand: in layers from left to right, each to the right of all that it needs. Pure.

export const NODE = { width: 172, height: 58 };
const GAP = { layer: 44, row: 16, bend: 10 };
const MARGIN = 16;
const SWEEPS = 6;

/**
 * Returns `{width, height, places: Map id → {x, y, layer, row}, edges: [{from, to, points}]}` for tasks `{id, needs}`.
 * Needs that are not among the tasks are left out. `points` are where the edge passes, its ends included.
 */
export function layout(tasks) {
  const ids = new Set(tasks.map((task) => task.id));
  const needs = new Map(tasks.map((task) => [task.id, task.needs.filter((id) => ids.has(id))]));
  const { layers, chains } = layered(needs);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) order(layers, sweep % 2 === 0);
  const height = stand(layers);
  const spots = new Map();
  const places = new Map();
  layers.forEach((layer, number) => layer.forEach((spot, row) => {
    const x = MARGIN + number * (NODE.width + GAP.layer);
    spots.set(spot.key, { x, y: spot.y });
    if (!spot.bend) places.set(spot.key, { x, y: spot.y - NODE.height / 2, layer: number, row });
  }));
  const edges = chains.map(({ from, to, keys }) => ({ from, to, points: pointsOf(keys.map((key) => spots.get(key))) }));
  const width = 2 * MARGIN + layers.length * NODE.width + Math.max(0, layers.length - 1) * GAP.layer;
  return { width, height, places, edges };
}

/** Puts each task behind the last that it needs; an edge that spans layers gets a bend in each between. */
function layered(needs) {
  const depth = new Map();
  const open = new Set();
  const depthOf = (id) => {
    if (depth.has(id)) return depth.get(id);
    if (open.has(id)) return 0; // a circle: no plan has one, and no page hangs because of one
    open.add(id);
    const found = Math.max(-1, ...needs.get(id).map(depthOf)) + 1;
    depth.set(id, found);
    return found;
  };
  for (const id of needs.keys()) depthOf(id);
  const layers = Array.from({ length: Math.max(0, ...depth.values()) + 1 }, () => []);
  const spots = new Map();
  const add = (key, layer, bend) => {
    const spot = { key, bend, before: [], after: [], y: 0 };
    spots.set(key, spot);
    layers[layer].push(spot);
    return spot;
  };
  for (const id of needs.keys()) add(id, depth.get(id), false);
  const chains = [];
  for (const [to, all] of needs) for (const from of all) if (depth.get(from) < depth.get(to)) {
    const keys = [from];
    for (let layer = depth.get(from) + 1; layer < depth.get(to); layer += 1) {
      keys.push(add(`${from}\n${to}\n${layer}`, layer, true).key);
    }
    keys.push(to);
    for (let place = 1; place < keys.length; place += 1) {
      const [one, other] = [spots.get(keys[place - 1]), spots.get(keys[place])];
      one.after.push(other);
      other.before.push(one);
    }
    chains.push({ from, to, keys });
  }
  return { layers, chains };
}

/** Sorts each layer by the mean place of the neighbours in the layer before (or behind), which takes most crossings away. */
function order(layers, forward) {
  const rank = new Map();
  for (const layer of forward ? layers : [...layers].reverse()) {
    layer.forEach((spot, place) => {
      const near = (forward ? spot.before : spot.after).map((other) => rank.get(other.key));
      spot.rank = near.length ? near.reduce((sum, value) => sum + value, 0) / near.length : place;
    });
    layer.sort((one, other) => one.rank - other.rank);
    layer.forEach((spot, place) => rank.set(spot.key, place));
  }
}

/** Gives every spot its y, near those of its neighbours and far enough from the next; returns the height of all. */
function stand(layers) {
  const room = (spot) => (spot.bend ? GAP.bend : NODE.height + GAP.row);
  const apart = (one, other) => (room(one) + room(other)) / 2;
  for (const layer of layers) {
    layer.forEach((spot, place) => {
      spot.y = place ? layer[place - 1].y + apart(layer[place - 1], spot) : 0;
    });
    const middle = layer.length ? (layer[0].y + layer.at(-1).y) / 2 : 0;
    for (const spot of layer) spot.y -= middle;
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0;
    for (const layer of forward ? layers : [...layers].reverse()) settle(layer, forward, apart);
  }
  const all = layers.flat();
  const top = Math.min(...all.map((spot) => spot.y - room(spot) / 2), 0);
  for (const spot of all) spot.y += MARGIN - top;
  return Math.max(...all.map((spot) => spot.y + room(spot) / 2), 0) + MARGIN;
}

function settle(layer, forward, apart) {
  const wished = layer.map((spot) => {
    const near = forward ? spot.before : spot.after;
    return near.length ? near.reduce((sum, other) => sum + other.y, 0) / near.length : spot.y;
  });
  const down = [...wished];
  const up = [...wished];
  for (let place = 1; place < layer.length; place += 1) {
    down[place] = Math.max(down[place], down[place - 1] + apart(layer[place - 1], layer[place]));
  }
  for (let place = layer.length - 2; place >= 0; place -= 1) {
    up[place] = Math.min(up[place], up[place + 1] - apart(layer[place], layer[place + 1]));
  }
  layer.forEach((spot, place) => {
    spot.y = (down[place] + up[place]) / 2; // each keeps the distance, and so does their mean
  });
}

function pointsOf(spots) {
  const last = spots.length - 1;
  return spots.flatMap(({ x, y }, place) => {
    if (place === 0) return [{ x: x + NODE.width, y }];
    return place === last ? [{ x, y }] : [{ x, y }, { x: x + NODE.width, y }];
  });
}

/** Returns the `d` of an SVG path through these points. */
export function pathOf([first, ...others]) {
  let at = first;
  const parts = [`M${first.x} ${first.y}`];
  for (const point of others) {
    const half = (at.x + point.x) / 2;
    parts.push(at.y === point.y ? `H${point.x}` : `C${half} ${at.y} ${half} ${point.y} ${point.x} ${point.y}`);
    at = point;
  }
  return parts.join("");
}

/** Returns the ids around one task: what it needs and what needs it, `steps` far, and at most `most`. */
export function around(id, tasks, neededBy, steps, most) {
  const found = new Set([id]);
  const walk = (next) => {
    let edge = [id];
    for (let step = 0; step < steps; step += 1) {
      edge = edge.flatMap(next).filter((other) => tasks.has(other) && !found.has(other));
      for (const other of edge) if (found.size < most) found.add(other);
      edge = edge.filter((other) => found.has(other));
    }
  };
  walk((other) => tasks.get(other).needs);
  walk((other) => neededBy.get(other) ?? []);
  return found;
}
