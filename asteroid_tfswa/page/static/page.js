"use strict";
// All tracks of a song share one clock: every track is a buffer that starts at the same time of the audio context.
// Switching between tracks only changes gains, so they cannot drift.

const songs = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const waiting = new Map(); // key of a track: function that takes its text
const RAMP = 0.01; // seconds, so that switching does not click

let context = null;
const page = { song: null, buffers: {}, gains: {}, sources: [], begun: 0, offset: 0, playing: false, view: "", strips: {} };
window.page = page;

function addTrack(key, text) {
  waiting.get(key)?.(text);
  waiting.delete(key);
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick" || name === "oninput" || name === "onchange") element[name] = value;
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// ---- loading ----

async function loadTrack(track) {
  const text = await new Promise((resolve, reject) => {
    waiting.set(track.key, resolve);
    const script = make("script", { src: track.file });
    script.onerror = () => reject(new Error(`${track.file} is missing: copy the page with its folder media`));
    script.onload = () => script.remove();
    document.head.append(script);
  });
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return context.decodeAudioData(bytes.buffer);
}

async function openSong(song) {
  pause();
  context ??= new AudioContext({ sampleRate: 44100 });
  Object.assign(page, { song, buffers: {}, gains: {}, offset: 0 });
  byId("player").hidden = false;
  byId("player-title").textContent = song.name;
  byId("clips").textContent = song.clips.length > 1 || song.clips[0].seconds + 0.5 < song.seconds
    ? "Parts of the song: " + song.clips.map((c) => `${clock(c.start)} to ${clock(c.start + c.seconds)}`).join(", ") + "."
    : "The whole song.";
  byId("play").disabled = true;
  byId("seek").max = song.length;
  buildViews(song);
  buildMixer(song);
  buildWorst(song);
  buildPictures(song);
  buildChecks(song);
  showTime();
  byId("player-title").focus(); // scrolls to the player and gives it the keys
  let n = 0;
  for (const track of song.tracks) {
    byId("status").textContent = `Loading ${++n} of ${song.tracks.length}`;
    try {
      const buffer = await loadTrack(track);
      if (page.song !== song) return; // another song was opened in the meantime
      page.buffers[track.key] = buffer;
    } catch (error) {
      byId("status").textContent = String(error.message || error);
      return;
    }
  }
  byId("status").textContent = "Ready";
  byId("play").disabled = false;
}

// ---- playing ----

function position() {
  const now = page.playing ? page.offset + Math.max(0, context.currentTime - page.begun) : page.offset;
  return Math.min(now, page.song ? page.song.length : 0);
}

async function play() {
  if (!page.song || byId("play").disabled || page.playing) return;
  await context.resume();
  if (position() >= page.song.length - 0.05) page.offset = 0;
  page.begun = context.currentTime + 0.05;
  page.sources = page.song.tracks.map((track) => {
    const source = new AudioBufferSourceNode(context, { buffer: page.buffers[track.key] });
    const gain = new GainNode(context, { gain: wantedGain(track) });
    source.connect(gain).connect(context.destination);
    source.start(page.begun, page.offset);
    page.gains[track.key] = gain;
    return source;
  });
  page.playing = true;
  byId("play").setAttribute("aria-pressed", "true");
  byId("play").textContent = "Pause";
  requestAnimationFrame(follow);
}

function pause() {
  if (!page.playing) return;
  page.offset = position();
  page.sources.forEach((source) => source.stop());
  page.sources = [];
  page.playing = false;
  byId("play").setAttribute("aria-pressed", "false");
  byId("play").textContent = "Play";
}

async function seek(seconds) {
  const wasPlaying = page.playing;
  pause();
  page.offset = Math.min(Math.max(0, seconds), page.song.length);
  showTime();
  if (wasPlaying) await play();
}

function follow() {
  if (!page.playing) return;
  showTime();
  if (position() >= page.song.length) pause();
  else requestAnimationFrame(follow);
}

function showTime() {
  const now = position();
  byId("seek").value = now;
  byId("seek").setAttribute("aria-valuetext", `${clock(now)} of ${clock(page.song.length)}`);
  byId("time").textContent = `${clock(now)} / ${clock(page.song.length)}`;
  for (const head of document.querySelectorAll(".head")) head.style.left = `${(100 * now) / page.song.length}%`;
}

// ---- what is heard ----

function wantedGain(track) {
  if (page.view === "mixture" || track.stem === null) return Number(page.view === "mixture" && track.stem === null);
  const strip = page.strips[track.stem];
  const soloed = Object.values(page.strips).some((s) => s.solo);
  const level = strip.mute || (soloed && !strip.solo) ? 0 : strip.level;
  if (page.view === "residual") return track.kind === "reference" ? level : -level; // what is missing or too much
  return track.kind === page.view ? level : 0;
}

function updateGains() {
  if (!page.playing) return;
  for (const track of page.song.tracks) {
    const { gain } = page.gains[track.key];
    gain.cancelScheduledValues(context.currentTime);
    gain.setValueAtTime(gain.value, context.currentTime);
    gain.linearRampToValueAtTime(wantedGain(track), context.currentTime + RAMP);
  }
}

function chooseView(view) {
  page.view = view;
  for (const input of byId("views").querySelectorAll("input")) input.checked = input.value === view;
  updateGains();
}

function buildViews(song) {
  const names = song.hasReferences
    ? { mixture: "Mixture", reference: "Reference", estimate: "Estimate", residual: "Residual (reference minus estimate)" }
    : { mixture: "Mixture", estimate: "Stems" };
  const views = byId("views");
  views.replaceChildren(views.firstElementChild);
  for (const [value, name] of Object.entries(names)) {
    const input = make("input", { type: "radio", name: "view", value, onchange: () => chooseView(value) });
    views.append(make("label", {}, input, ` ${name}`));
  }
  chooseView("estimate");
}

function buildMixer(song) {
  page.strips = {};
  byId("mixer").replaceChildren(...song.stems.map((stem) => {
    const strip = (page.strips[stem] = { solo: false, mute: false, level: 1 });
    const toggle = (name, key) => {
      const button = make("button", { type: "button", "aria-pressed": "false", "aria-label": `${name} ${stem}` }, name);
      button.onclick = () => {
        strip[key] = !strip[key];
        button.setAttribute("aria-pressed", String(strip[key]));
        updateGains();
      };
      return button;
    };
    const level = make("input", { type: "range", min: 0, max: 1.5, step: 0.01, value: 1, "aria-label": `Level of ${stem}` });
    level.oninput = () => {
      strip.level = Number(level.value);
      updateGains();
    };
    return make("div", { class: "strip" }, make("span", {}, stem), toggle("Solo", "solo"), toggle("Mute", "mute"), make("label", {}, level));
  }));
}

function buildWorst(song) {
  byId("worst").replaceChildren(...song.worst.map((moment) => make("button", {
    type: "button",
    onclick: async () => {
      await seek(moment.position);
      await play();
    },
  }, `${moment.stem}: worst ${moment.seconds.toFixed(0)} s, at ${clock(moment.start)} (${moment.sdr.toFixed(1)} dB)`)));
}

function buildPictures(song) {
  const place = byId("pictures");
  if (!song.pictures.length) return place.replaceChildren();
  const select = make("select", { id: "picture-stem" }, ...song.stems.map((stem) => make("option", {}, stem)));
  const figures = make("div");
  const show = () => {
    figures.replaceChildren(...song.pictures.filter((p) => p.stem === select.value).map((picture) => {
      const image = make("img", { src: picture.file, alt: `Spectrogram of ${picture.stem}, ${picture.kind}` });
      const area = make("div", {}, image, make("span", { class: "head" }));
      area.onclick = (event) => {
        const box = area.getBoundingClientRect();
        seek(((event.clientX - box.left) / box.width) * song.length);
      };
      return make("figure", { class: "picture" }, area, make("figcaption", {}, picture.kind));
    }));
    showTime();
  };
  select.onchange = show;
  place.replaceChildren(make("p", {}, make("label", {}, "Spectrograms of ", select)), figures);
  show();
}

function buildChecks(song) {
  byId("checks").replaceChildren(make("ul", {}, ...song.checks.map((line) => make("li", {}, line))));
}

// ---- the table ----

function sortTable(header) {
  const table = header.closest("table");
  const column = [...header.parentElement.children].indexOf(header);
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => {
    const cell = row.children[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
  const rows = [...table.tBodies[0].rows].filter((row) => row.children[column].dataset.value !== "");
  const empty = [...table.tBodies[0].rows].filter((row) => row.children[column].dataset.value === ""); // always last
  rows.sort((a, b) => compare(value(a), value(b)) * (ascending ? 1 : -1));
  table.tBodies[0].append(...rows, ...empty);
}

// ---- controls ----

for (const button of document.querySelectorAll("th button")) button.onclick = () => sortTable(button.closest("th"));
for (const button of document.querySelectorAll("button.open")) button.onclick = () => openSong(songs[Number(button.dataset.song)]);
byId("play").onclick = () => (page.playing ? pause() : play());
byId("seek").oninput = (event) => seek(Number(event.target.value));
document.addEventListener("keydown", (event) => {
  if (!page.song || event.ctrlKey || event.metaKey || event.altKey) return;
  const tag = event.target.tagName;
  if (event.key === " " && !["BUTTON", "SELECT", "INPUT"].includes(tag)) {
    event.preventDefault();
    if (page.playing) pause();
    else play();
  } else if (["ArrowLeft", "ArrowRight"].includes(event.key) && !["INPUT", "SELECT"].includes(tag)) {
    event.preventDefault();
    seek(position() + (event.key === "ArrowLeft" ? -5 : 5));
  } else if (/^[1-4]$/.test(event.key)) {
    const input = byId("views").querySelectorAll("input")[Number(event.key) - 1];
    if (input) chooseView(input.value);
  }
});
if (songs.length === 1) openSong(songs[0]);
