"""Files to upload, and what the panel of chapter 12 must make of them."""

import io

import numpy as np
import soundfile
from live import Panel, play

from nmflib.course import scenes
from nmflib.metrics import best_permutation, sdr

IMAGES = ("kemar_two_talkers_image1", "kemar_two_talkers_image2")
REFUSED = {  # name: what its sentence must say
    "letter.wav": "cannot be read as audio",
    "empty.wav": "is empty",
    "mono.wav": "has 1 channel; two microphones are needed",
    "memo.m4a": "convert it first, for instance with ffmpeg -i memo.m4a memo.wav",
}
TELEPHONE = b"\0\0\0\x1cftypM4A \0\0\2\0M4A isomiso2\0\0\x10\0mdat" + bytes(range(256)) * 16  # as telephones record


def as_file(x, sample_rate, **options):
    """The bytes of a WAV file of x (n_channels, n_samples)."""
    file = io.BytesIO()
    soundfile.write(file, x.T, sample_rate, **{"format": "WAV", **options})
    return file.getvalue()


def check_uploads(page, screenshot):
    """What cannot be separated is answered with a sentence, and so are ten minutes; a recording is taken apart.

    Ten minutes of WAV are 106 MB, more than Jupyter takes by default.
    """
    panel = Panel(page)
    panel.panel.scroll_into_view_if_needed()
    (one, rate), (other, _) = (scenes.load(name) for name in IMAGES)
    talkers = np.stack([one, other])
    mixture = talkers.sum(axis=0)

    contents = [b"Dear diary, today I recorded nothing.", b"", as_file(mixture[:1], rate), TELEPHONE]
    for (name, says), content in zip(REFUSED.items(), contents, strict=True):
        answer = panel.answer(name, content)
        assert says in answer
        assert answer.count("\n") == 0, "one sentence"
        assert "Traceback" not in answer
        assert not panel.picture.is_visible(), "no picture of another file"
        assert not panel.players.first.is_visible()

    ten_minutes = np.pad(mixture, ((0, 0), (0, 600 * 44100 - mixture.shape[1])))
    content = as_file(ten_minutes, 44100)
    assert len(content) > 100e6
    answer = panel.answer("lecture.wav", content)
    assert "600.0 s of stereo" in answer
    assert "are used" not in answer, "all of it"

    assert "Press “Separate”" in panel.answer("my_recording.wav", as_file(mixture, rate))
    text = panel.separate("my_recording.wav")
    page.screenshot(path=screenshot)
    assert "my_recording.wav" in text
    assert "Separated as a recording in a room." in text
    assert text.count("of the energy") == 2
    assert panel.players.count() == 3
    for player in panel.players.all():
        play(player)
    link = panel.panel.locator("a[download]").first
    assert "underline" in link.evaluate("link => getComputedStyle(link).textDecorationLine")
    recording, *outputs = [soundfile.read(io.BytesIO(file))[0].T for file in panel.downloads()]
    gain = np.sum(recording * mixture) / np.sum(mixture**2)
    estimates = np.stack(outputs) / gain
    order = list(best_permutation(talkers, estimates))
    assert sdr(recording / gain, estimates.sum(axis=0)) > 40, "the outputs add up to the recording, up to 16 bits"
    assert min(sdr(talkers[j], estimates[i]) for j, i in enumerate(order)) > 10
