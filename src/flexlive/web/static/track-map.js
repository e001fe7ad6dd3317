// The map: the customer's door, and the area – an H3 cell, never a point – the driver is in. Loaded only when there is
// something to show, and only where WebGL works.

const RINGS_M = [250, 500, 1000, 2000, 4000];
const EARTH_M = 6371008.8;
const ZOOM_MAX = 16;

/** Draws into the box; the answer has show(cell) and stop(). null where there is no WebGL. */
export async function start(box) {
  if (!document.createElement("canvas").getContext("webgl2")) return null;
  const { lat, lon, maplibre: address, maplibreCss, h3: h3Address, basemap } = box.dataset;
  const [maplibre] = await Promise.all([import(address), sheet(maplibreCss), script(h3Address)]);
  const door = [Number(lon), Number(lat)];
  const colours = palette(box);
  const style =
    basemap === "blank" ? blank(door, colours) : await (await import("/static/track-basemap.js")).style(maplibre, box);
  box.hidden = false;
  const map = new maplibre.Map({
    container: box,
    style,
    center: door,
    zoom: 14,
    attributionControl: basemap === "blank" ? false : { compact: true },
    cooperativeGestures: true,
    dragRotate: false,
    pitchWithRotate: false,
    fadeDuration: 0,
  });
  map.touchZoomRotate.disableRotation();
  const mark = document.createElement("div");
  mark.className = "door";
  new maplibre.Marker({ element: mark, anchor: "bottom" }).setLngLat(door).addTo(map);

  let cell = box.dataset.cell;
  let ready = false;
  let moved = false;
  map.on("movestart", (event) => {
    if (event.originalEvent) moved = true;
  });

  function draw(first) {
    const ring = cell ? window.h3.cellToBoundary(cell, true) : [];
    const near = cell ? window.h3.cellToLatLng(cell) : null;
    map.getSource("courier").setData(polygon(ring));
    map.getSource("way").setData(line(near ? [[near[1], near[0]], door] : []));
    if (moved) return;
    const bounds = [...ring, door].reduce((all, point) => all.extend(point), new maplibre.LngLatBounds(door, door));
    map.fitBounds(bounds, {
      padding: { top: 56, bottom: 28, left: 36, right: 36 },
      maxZoom: ZOOM_MAX,
      duration: first ? 0 : 800,
    });
  }

  map.on("load", () => {
    map.addSource("way", { type: "geojson", data: line([]) });
    map.addSource("courier", { type: "geojson", data: polygon([]) });
    map.addLayer({
      id: "way",
      type: "line",
      source: "way",
      paint: { "line-color": colours.accent, "line-width": 2, "line-dasharray": [2, 2], "line-opacity": 0.7 },
    });
    map.addLayer({
      id: "courier",
      type: "fill",
      source: "courier",
      paint: { "fill-color": colours.accent, "fill-opacity": 0.28 },
    });
    map.addLayer({
      id: "courier-edge",
      type: "line",
      source: "courier",
      paint: { "line-color": colours.accent, "line-width": 2.5 },
    });
    ready = true;
    draw(true);
    box.dataset.drawn = cell || "none";
  });

  return {
    show(next) {
      cell = next;
      if (!ready) return;
      draw(false);
      box.dataset.drawn = cell || "none";
    },
    stop: () => map.remove(),
  };
}

// Without streets, rings say how far: 250 m, 500 m, 1 km and so on around the door.
function blank(door, colours) {
  const rings = RINGS_M.map((metres) => polygon(circle(door, metres)));
  return {
    version: 8,
    sources: { rings: { type: "geojson", data: { type: "FeatureCollection", features: rings } } },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": colours.ground } },
      { id: "rings", type: "line", source: "rings", paint: { "line-color": colours.ring, "line-width": 1.5 } },
    ],
  };
}

function circle([lon, lat], metres) {
  const radius = metres / EARTH_M;
  const shrink = Math.max(Math.cos((lat * Math.PI) / 180), 0.01);
  return Array.from({ length: 73 }, (_, step) => {
    const angle = (step * Math.PI) / 36;
    const north = (radius * Math.cos(angle) * 180) / Math.PI;
    const east = (radius * Math.sin(angle) * 180) / Math.PI / shrink;
    return [lon + east, lat + north];
  });
}

const polygon = (ring) => ({
  type: "Feature",
  properties: {},
  geometry: { type: "Polygon", coordinates: ring.length ? [ring] : [] },
});

const line = (points) => ({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: points } });

function palette(box) {
  const style = getComputedStyle(box);
  const colour = (name) => style.getPropertyValue(name).trim();
  return { accent: colour("--accent"), ground: colour("--map-ground"), ring: colour("--map-ring") };
}

function loaded(element, parent) {
  return new Promise((resolve, reject) => {
    element.addEventListener("load", resolve);
    element.addEventListener("error", reject);
    parent.append(element);
  });
}

function script(address) {
  if (window.h3) return Promise.resolve();
  return loaded(Object.assign(document.createElement("script"), { src: address }), document.head);
}

function sheet(address) {
  if (document.querySelector(`link[href="${address}"]`)) return Promise.resolve();
  return loaded(Object.assign(document.createElement("link"), { rel: "stylesheet", href: address }), document.head);
}
