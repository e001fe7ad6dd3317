// What lies under the map when the operator has set one: a style of theirs, or a PMTiles archive of this server.

/** A MapLibre style (an object or an address) for the box's base map. */
export async function style(maplibre, box) {
  const { basemap, basemapUrl, pmtiles: library } = box.dataset;
  if (basemap === "style") return basemapUrl;
  await load(library);
  const address = new URL(basemapUrl, location.href).href;
  const archive = new window.pmtiles.PMTiles(address);
  const protocol = new window.pmtiles.Protocol({ metadata: true });
  protocol.add(archive);
  maplibre.addProtocol("pmtiles", protocol.tile);
  const { tileType } = await archive.getHeader();
  const vector = tileType === window.pmtiles.TileType.Mvt;
  return vector ? streets(address, getComputedStyle(box)) : picture(address);
}

function picture(address) {
  return {
    version: 8,
    sources: { base: { type: "raster", url: `pmtiles://${address}`, tileSize: 256 } },
    layers: [{ id: "base", type: "raster", source: "base" }],
  };
}

// The layers of the Protomaps basemap, without names: those would need fonts from somewhere.
function streets(address, look) {
  const colour = (name) => look.getPropertyValue(name).trim();
  const base = { source: "base" };
  const width = (far, near) => ["interpolate", ["exponential", 1.6], ["zoom"], 11, far, 18, near];
  const road = (id, kinds, far, near) => ({
    ...base,
    id,
    type: "line",
    "source-layer": "roads",
    filter: ["in", ["get", "kind"], ["literal", kinds]],
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": colour("--map-road"), "line-width": width(far, near) },
  });
  const area = (id, paint, filter) => ({
    ...base,
    id,
    type: "fill",
    "source-layer": id,
    paint: { "fill-color": paint },
    ...(filter ? { filter } : {}),
  });
  const green = ["in", ["get", "kind"], ["literal", ["park", "wood", "forest", "grass", "nature_reserve", "cemetery"]]];
  return {
    version: 8,
    sources: { base: { type: "vector", url: `pmtiles://${address}` } },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": colour("--map-ground") } },
      area("landuse", colour("--map-green"), green),
      area("water", colour("--map-water"), ["==", ["geometry-type"], "Polygon"]),
      area("buildings", colour("--map-building")),
      road("paths", ["path", "other"], 0.2, 3),
      road("minor", ["minor_road"], 0.6, 14),
      road("major", ["major_road"], 1.4, 20),
      road("highways", ["highway"], 2, 24),
    ],
  };
}

function load(address) {
  if (window.pmtiles) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("script"), { src: address, onload: resolve, onerror: reject });
    document.head.append(element);
  });
}
