// chemiscope is unpacked only when a reader opens it: most readers do not
const unpack = async (id) => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const button = document.getElementById("explorer-open");
button.addEventListener("click", async () => {
  button.disabled = true;
  button.textContent = "Opening …";
  const note = document.getElementById("explorer-note");
  try {
    const script = document.createElement("script");
    script.textContent = await unpack("explorer-code");
    document.head.append(script);
    const warnings = new Chemiscope.Warnings();
    warnings.addHandler((message) => { note.textContent = message; });
    const places = {};
    for (const name of ["meta", "map", "structure", "info"]) places[name] = "explorer-" + name;
    document.getElementById("explorer-view").hidden = false;
    await Chemiscope.DefaultVisualizer.load(places, JSON.parse(await unpack("explorer-data")), warnings);
    button.hidden = true;
    document.getElementById("explorer-view").dataset.ready = "yes";
  } catch (error) {
    note.textContent = "The explorer could not start: " + error.message + ". Try another browser.";
    button.disabled = false;
    button.textContent = "Open the explorer";
    console.error(error);
  }
});
