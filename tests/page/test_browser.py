"""The page in a browser, from disk: it plays, in sync, and every control acts."""

import importlib.util
import shutil

import pytest

from asteroid_tfswa.page import write_page
from tests.page.songs import CLICK, STEMS, make_song

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and importlib.util.find_spec("playwright")),
    reason="chromium or the package playwright is missing",
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]

# Listens to every track while it plays; returns the time of the click in each, in seconds.
FIND_CLICKS = """async () => {
  const context = page.sources[0].context, clicks = {};
  const taps = page.sources.map((source, i) => {
    const tap = new AnalyserNode(context, { fftSize: 32768 });
    source.connect(tap);
    return [page.song.tracks[i].key, tap];
  });
  const heard = new Float32Array(32768);
  await new Promise((done) => setTimeout(done, 600));
  await context.suspend(); // so that all are read at one moment
  for (const [key, tap] of taps) {
    tap.getFloatTimeDomainData(heard);
    clicks[key] = heard.findIndex((x) => Math.abs(x) > 0.15) / context.sampleRate;
  }
  await context.resume();
  return clicks;
}"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    frames = {"vocals": [3.0, -1.0, 2.0], "drums": [1.0, 1.0, 1.0]}
    songs = [
        make_song(folder / "a", "b <song>", scores={"vocals": 2.0, "drums": None}, frames=frames),
        make_song(folder / "b", "a song", scores={"vocals": 10.0, "drums": 1.0}),
    ]
    return write_page(folder / "report", "A run", songs)


@pytest.fixture
def view(browser, report):
    messages = []
    view = browser.new_page()
    view.on("console", lambda m: messages.append(m.text) if m.type == "error" else None)
    view.on("pageerror", lambda error: messages.append(str(error)))
    view.goto(report.as_uri())
    view.locator("button.open", has_text="b <song>").click()
    view.locator("#status", has_text="Ready").wait_for()
    yield view
    view.close()
    assert messages == []


def gains(view):
    """The gain of each track after the short fade."""
    view.wait_for_timeout(150)
    pairs = view.evaluate(
        "() => page.song.tracks.map((t) => [`${t.stem} ${t.kind}`, page.gains[t.key].gain.value])"
    )
    return {name: round(value, 3) for name, value in pairs if round(value, 3)}


def test_all_tracks_play_in_sync(view):
    view.evaluate(f"() => seek({CLICK - 0.3})")
    view.click("#play")
    clicks = view.evaluate(FIND_CLICKS)
    assert len(clicks) == 1 + 2 * len(STEMS)
    assert min(clicks.values()) > 0  # heard in every one
    assert max(clicks.values()) - min(clicks.values()) < 0.005
    assert view.inner_text("#play") == "Pause"
    view.click("#play")
    assert view.inner_text("#play") == "Play"


def test_views_solo_mute_and_level_act(view):
    view.click("#play")
    assert gains(view) == {f"{stem} estimate": 1 for stem in STEMS}
    view.click("text=Solo >> nth=0")
    assert gains(view) == {"vocals estimate": 1}
    view.click("text=Residual")
    assert gains(view) == {"vocals reference": 1, "vocals estimate": -1}
    view.click("text=Solo >> nth=0")
    view.click("text=Mute >> nth=0")
    view.get_by_label("Level of drums").fill("0.5")
    view.click("text=Reference >> nth=0")
    assert gains(view) == {"drums reference": 0.5}
    view.click("text=Mixture")
    assert gains(view) == {"null mixture": 1}


def test_table_sorts_and_puts_missing_values_last(view):
    def names():
        return [name.strip() for name in view.locator("tbody tr td:first-child").all_inner_texts()]

    for header, order in (
        ("Song", ["a song", "b <song>"]),
        ("Song", ["b <song>", "a song"]),
        ("vocals", ["b <song>", "a song"]),  # as numbers: 2 before 10
        ("vocals", ["a song", "b <song>"]),
        ("drums", ["a song", "b <song>"]),
        ("drums", ["a song", "b <song>"]),
    ):
        view.click(f"th button:has-text('{header}')")
        assert names() == order


def test_pictures_and_worst_moments_seek(view):
    area = view.locator(".picture div").first
    box = area.bounding_box()
    area.click(position={"x": box["width"] / 2, "y": 10})
    assert view.evaluate("() => position()") == pytest.approx(1.5, abs=0.05)
    left = view.locator(".head").first.evaluate("(head) => parseFloat(head.style.left)")
    assert left == pytest.approx(50, abs=2)
    view.select_option("#picture-stem", "drums")
    assert view.get_by_alt_text("Spectrogram of drums, difference").is_visible()
    view.get_by_role("button", name="vocals: worst 3 s, at 0:00 (1.3 dB)").click()
    assert view.evaluate("() => page.playing && position() < 1")


def test_keyboard(view):
    view.locator("body").press("Space")
    assert view.evaluate("() => page.playing")
    view.locator("body").press("Space")
    assert not view.evaluate("() => page.playing")
    view.evaluate("() => seek(0)")
    view.locator("body").press("ArrowRight")
    assert view.evaluate("() => position()") == 3  # five seconds, but the song ends before
    for key, chosen in zip("1234", ("mixture", "reference", "estimate", "residual")):
        view.locator("body").press(key)
        assert view.evaluate("() => page.view") == chosen
    view.locator("#play").focus()
    view.keyboard.press("Enter")
    assert view.evaluate("() => page.playing")


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_the_screen(browser, report, width, scheme):
    view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    view.goto(report.as_uri())
    view.locator("button.open >> nth=0").click()
    assert view.evaluate("() => document.documentElement.scrollWidth") <= width
    colours = view.evaluate(
        "() => ['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])"
    )
    light = [sum(map(int, text[4:-1].split(", "))) for text in colours]  # ink, then paper
    assert (light[0] < light[1]) == (scheme == "light") and abs(light[0] - light[1]) > 500
    view.close()


def test_page_without_references_is_a_mixer_and_says_what_is_missing(browser, tmp_path):
    index = write_page(tmp_path / "report", "Stems", [make_song(tmp_path / "s", references=False)])
    view = browser.new_page()
    view.goto(index.as_uri())  # one song opens by itself
    view.locator("#status", has_text="Ready").wait_for()
    assert view.inner_text("#views").split() == ["Listen", "to", "Mixture", "Stems"]
    view.click("#play")
    assert gains(view) == {f"{stem} estimate": 1 for stem in STEMS}
    shutil.rmtree(index.parent / "media")
    view.reload()
    view.locator("#status", has_text="is missing: copy the page with its folder media").wait_for()
    view.close()
