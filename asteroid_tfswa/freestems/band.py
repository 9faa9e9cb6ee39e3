"""The other instruments: who plays a part, and the sound of it."""

import numpy as np

from asteroid_tfswa.freestems import effects as fx
from asteroid_tfswa.freestems import parts, space, synth
from asteroid_tfswa.freestems.effects import RATE
from asteroid_tfswa.freestems.sampler import Note, Sampler, choose, play

# Names, or beginnings of names, of the instruments of the sources that play a kind of part.
GUITARS = ("blackguitar", "greenguitar", "shinyguitar_electric", "emilyguitar")
SHORT_GUITARS = ("blackguitar_staccato", "greenguitar_staccato")
KEYS = ("cp80", "pianet", "wurlitzer", "fluid_vibraphone")
ORGANS = ("organ", "fluid_rock_organ", "fluid_accordion")
WINDS = ("sax", "bearsax", "fluid_flute", "fluid_oboe", "fluid_trombone", "fluid_violin")
STRINGS = ("fluid_strings", "fluid_cello", "fluid_violin", "bowed_cello_synth", "fluid_french")
BRASS = ("fluid_brass", "fluid_trombone", "bearsax_staccato", "fluid_french", "sax_tenor")
ACOUSTIC = ("shinyguitar_acoustic", "emilyguitar")


class Part:
    """Renders one part of "other".

    Args:
        sources (Sources): where the sounds are.
        plan (Plan): the song.
        rng (Generator): all choices.
        n_samples (int): length.
    """

    def __init__(self, sources, plan, rng, n_samples):
        self.sources, self.plan, self.rng, self.n_samples = sources, plan, rng, n_samples

    def render(self, kind, sections):
        """Render a kind of part, a name of `KINDS`, in some sections; returns (2, n_samples)."""
        track = KINDS[kind](self, sections)
        return fx.tone(fx.cut(track, self.rng.uniform(25, 140), order=1), self.rng)

    def _sampled(self, names, notes, release=0.12):
        notes_of = choose(self.sources.notes["other"], self.rng, names)
        sampler = Sampler(self.sources, notes_of, self.rng, release)
        return play(sampler, notes, self.n_samples)

    def _placed(self, track, most=0.7):
        """Pan a mono sound to a side, or widen it."""
        if np.array_equal(track[0], track[1]) and self.rng.random() < 0.4:
            return space.chorus(track, self.rng)
        return space.pan(track, self.rng.uniform(-most, most))

    def _doubled(self, make):
        """Play a part twice, left and right, as guitars are recorded."""
        side = self.rng.uniform(0.5, 1.0)
        return space.pan(make(), -side) + space.pan(make(), side)

    def _again(self, notes, human=0.008):
        rng = self.rng
        return [
            note._replace(
                start=max(0, note.start + rng.normal(0, human)),
                velocity=min(1, note.velocity * rng.uniform(0.85, 1.1)),
            )
            for note in notes
        ]

    def _electric(self, notes, drive):
        names = SHORT_GUITARS if self.rng.random() < 0.15 else GUITARS
        guitar = choose(self.sources.notes["other"], self.rng, names)
        settings = self.rng.integers(1 << 31)

        def make():
            sampler = Sampler(self.sources, guitar, self.rng, 0.05)
            track = play(sampler, self._again(notes), self.n_samples, 1)
            track = fx.amplify(track, np.random.default_rng(settings), drive)
            return np.repeat(track, 2, axis=0)

        return self._doubled(make) if self.rng.random() < 0.65 else self._placed(make(), 0.8)

    def power(self, sections):
        notes = parts.riff(self.plan, sections, self.rng, self.rng.integers(40, 47), fifths=True)
        return self._electric(notes, self.rng.uniform(16, 45))

    def riff(self, sections):
        notes = parts.riff(self.plan, sections, self.rng, self.rng.integers(38, 54))
        return self._electric(notes, self.rng.uniform(6, 40))

    def strum(self, sections):
        notes = parts.chopped(
            self.plan, sections, self.rng, 52, parts.STRUMS, self.rng.uniform(0.006, 0.02)
        )
        return self._electric(notes, self.rng.uniform(-6, 18))

    def acoustic(self, sections):
        rng = self.rng
        if rng.random() < 0.5:
            notes = parts.chopped(self.plan, sections, rng, 52, parts.STRUMS, 0.015)
        else:
            notes = parts.arpeggio(self.plan, sections, rng, 55, 0.008)
        if rng.random() < 0.4:
            return self._doubled(lambda: self._sampled(ACOUSTIC, self._again(notes), 0.2))
        return self._placed(self._sampled(ACOUSTIC, notes, 0.2))

    def arp_guitar(self, sections):
        notes = parts.arpeggio(self.plan, sections, self.rng, self.rng.integers(52, 64), 0.006)
        track = self._electric(notes, self.rng.uniform(-10, 12))
        return space.delay(track, 0.75 * self.plan.beat, 0.4, self.rng.uniform(0, 0.5))

    def lead_guitar(self, sections):
        notes = parts.melody(self.plan, sections, self.rng, self.rng.integers(60, 72))
        track = self._placed(self._electric(notes, self.rng.uniform(18, 40)), 0.3)
        return space.delay(track, 0.75 * self.plan.beat, 0.35, self.rng.uniform(0, 0.4))

    def real_guitar(self, sections):
        """A guitar as it was played in a real song, cut to the sections."""
        rng = self.rng
        if not self.sources.songs:
            return self.power(sections)
        song = self.sources.audio(self.sources.songs[rng.integers(len(self.sources.songs))])
        start = rng.integers(0, max(1, song.shape[1] - self.n_samples))
        excerpt = np.zeros((2, self.n_samples), dtype=np.float32)
        found = song[:, start : start + self.n_samples]
        excerpt[:, : found.shape[1]] = found
        gate = np.zeros(self.n_samples, dtype=np.float32)
        for section in sections:
            first = int(section.first_bar * self.plan.bar * RATE)
            gate[first : first + int(section.n_bars * self.plan.bar * RATE)] = 1
        return excerpt * np.convolve(gate, np.full(256, 1 / 256, dtype=np.float32), "same")

    def skank(self, sections):
        rng = self.rng
        notes = parts.chopped(self.plan, sections, rng, 60, parts.SKANKS, 0.006)
        notes = [note._replace(length=min(note.length, 0.12)) for note in notes]
        return self._electric(notes, rng.uniform(-10, 8))

    def piano(self, sections):
        rng = self.rng
        way = rng.integers(3)
        centre = rng.integers(57, 66)
        if way == 0:
            notes = parts.chopped(self.plan, sections, rng, centre, parts.STABS + parts.STRUMS, 0.0)
        elif way == 1:
            notes = parts.arpeggio(self.plan, sections, rng, centre, 0.006)
        else:
            notes = parts.sustained(self.plan, sections, rng, centre)
            notes += parts.melody(self.plan, sections, rng, centre + 14)
        if rng.random() < 0.6:
            notes += [
                Note(n.start, n.length, n.pitch, 0.6)
                for n in parts.riff(self.plan, sections, rng, 43, patterns=["x-------x-------"])
            ]
        return self._sampled(("piano", "piano", "cp80"), notes, 0.2)

    def keys(self, sections):
        rng = self.rng
        patterns = parts.STABS + parts.STRUMS[3:]
        notes = parts.chopped(self.plan, sections, rng, rng.integers(50, 67), patterns, 0.004)
        if rng.random() < 0.4:
            notes = parts.sustained(self.plan, sections, rng, rng.integers(50, 67))
        track = self._sampled(KEYS, notes, 0.15)
        if rng.random() < 0.4:
            track = fx.saturate(track, rng.uniform(0, 14))
        return space.chorus(track, rng) if rng.random() < 0.6 else self._placed(track, 0.4)

    def organ(self, sections):
        notes = parts.sustained(self.plan, sections, self.rng, self.rng.integers(60, 70))
        track = self._sampled(ORGANS, notes, 0.05)
        if self.rng.random() < 0.5:
            track = fx.saturate(track, self.rng.uniform(0, 16))
        return space.chorus(track, self.rng, 0.002)

    def strings(self, sections):
        notes = parts.sustained(self.plan, sections, self.rng, self.rng.integers(48, 72))
        if self.rng.random() < 0.4:
            notes += parts.melody(self.plan, sections, self.rng, 76)
        return space.width(self._sampled(STRINGS, notes, 0.3), 1.3)

    def wind(self, sections):
        notes = parts.melody(self.plan, sections, self.rng, self.rng.integers(58, 74), 0.015)
        return self._placed(self._sampled(WINDS, notes, 0.1), 0.5)

    def stabs(self, sections):
        rng = self.rng
        notes = parts.chopped(self.plan, sections, rng, rng.integers(58, 70), parts.STABS, 0.0)
        if rng.random() < 0.5:
            return self._placed(self._sampled(BRASS, notes, 0.08), 0.5)
        return self._synth(synth.pluck_patch(rng), notes)

    def _synth(self, patch, notes, low=30, high=96):
        return play(synth.Synth(patch, self.rng, low, high), notes, self.n_samples)

    def pad(self, sections):
        notes = parts.sustained(self.plan, sections, self.rng, self.rng.integers(46, 70))
        return space.chorus(self._synth(synth.pad_patch(self.rng), notes), self.rng)

    def supersaw(self, sections):
        rng = self.rng
        patch = synth.pad_patch(rng)
        patch.wave, patch.attack, patch.cutoff = "saw", 0.003, rng.uniform(3000, 12000)
        patterns = parts.STABS + parts.RIFFS
        notes = parts.chopped(self.plan, sections, rng, rng.integers(60, 70), patterns, 0, human=0)
        return self._synth(patch, notes)

    def gate(self, sections):
        patch = synth.pad_patch(self.rng)
        patch.attack, patch.release = 0.003, 0.03
        notes = parts.chopped(self.plan, sections, self.rng, 64, parts.GATES, 0, human=0)
        return self._synth(patch, notes)

    def pluck(self, sections):
        notes = parts.arpeggio(self.plan, sections, self.rng, self.rng.integers(50, 76))
        track = self._synth(synth.pluck_patch(self.rng), notes)
        return space.delay(track, 0.75 * self.plan.beat, 0.45, self.rng.uniform(0, 0.6))

    def lead_synth(self, sections):
        notes = parts.melody(self.plan, sections, self.rng, self.rng.integers(64, 78), 0.002)
        track = self._synth(synth.lead_patch(self.rng), notes)
        return space.delay(track, 0.75 * self.plan.beat, 0.4, self.rng.uniform(0, 0.5))

    def riff_synth(self, sections):
        patch = (
            synth.lead_patch(self.rng) if self.rng.random() < 0.5 else synth.pluck_patch(self.rng)
        )
        notes = parts.riff(self.plan, sections, self.rng, self.rng.integers(38, 64), human=0.0)
        return self._synth(patch, notes)

    def riser(self, sections):
        """Noise that rises before a section and crashes into it."""
        rng = self.rng
        track = np.zeros((2, self.n_samples), dtype=np.float32)
        for section in sections:
            end = int(section.first_bar * self.plan.bar * RATE)
            length = min(end, int(self.plan.bar * rng.choice([1, 2]) * RATE))
            if length > RATE // 2:
                rise = np.linspace(0, 1, length, dtype=np.float32) ** 2
                noise = rng.standard_normal((2, length)).astype(np.float32)
                low, high = fx.cut(noise, 300, 2000), fx.cut(noise, 2500, 11000)
                track[:, end - length : end] += ((1 - rise) * low + rise * high) * rise
            tail = rng.standard_normal((2, 2 * RATE)).astype(np.float32)
            tail = fx.cut(tail, 400, 7000) * np.exp(-np.arange(2 * RATE) / (0.5 * RATE))
            part = track[:, end : end + 2 * RATE]
            part += 0.7 * tail[:, : part.shape[1]].astype(np.float32)
        return 0.4 * track


KINDS = {
    name: getattr(Part, name)
    for name in (
        "power riff strum acoustic arp_guitar lead_guitar real_guitar skank piano keys organ "
        "strings wind stabs pad supersaw gate pluck lead_synth riff_synth riser"
    ).split()
}
