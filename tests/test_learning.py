"""Every experiment's model learns real deepfakes: one pair of sources and their fakes by four methods."""

from pathlib import Path

import lightning as L
import pytest
from face_detectors import first_clip
from hydra.utils import instantiate
from test_experiments import experiment

from dfdc_lightning.faces.cache import FAKE, REAL, SPLITS, FaceCache, FaceClip, Row
from dfdc_lightning.faces.extract import FacePreparation
from dfdc_lightning.faces.yunet import YuNet

SIZE = 48
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


@pytest.fixture(scope="module")
def source_pair(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 REAL videos as 8 clips and 8 FAKE ones as a clip each, of four small faces; nothing is held out.

    (With equal labels and 64 pairs, an AUROC of 0.95 is no accident.)
    """
    model = shared / "models" / "face_detection_yunet_2023mar.onnx"
    real, fake = (FacePreparation(YuNet(model=model), frames=n, size=SIZE) for n in (16, 4))
    data = shared / "data" / "ffpp_c40_sample"
    videos = {name: data / f"original_sequences/youtube/c40/videos/{name}.mp4" for name in ("183", "253")}
    for method in METHODS:
        for name in ("183_253", "253_183"):
            folder = data / "manipulated_sequences" / method / "c40" / "videos"
            videos[f"{method}_{name}"] = folder / f"{name}.mp4"
    cache, rows = FaceCache(tmp_path_factory.mktemp("source_pair")), []
    for video, path in videos.items():
        label = FAKE if "_" in video else REAL
        clip = first_clip(fake if label == FAKE else real, path)
        for part in range(len(clip.faces) // 4):
            name = f"{video}_part{part}"
            cache.write_clip(
                name,
                FaceClip(**{key: array[part :: len(clip.faces) // 4] for key, array in clip.arrays.items()}),
            )
            rows += [Row(name, label, split=split, profile="small") for split in SPLITS]
    cache.write_rows(rows)
    return cache.root


class UntilLearnt(L.Callback):
    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.auroc = float(trainer.callback_metrics["train/auroc"])
        trainer.should_stop = self.auroc >= 0.95


# (jpeg trains baseline's model.)
@pytest.mark.parametrize("name", ["baseline", "focal", "effnet", "lstm", "statpool"])
def test_training_auroc_reaches_095_on_real_deepfakes(name: str, source_pair: Path) -> None:
    config = experiment(
        name,
        f"data.cache={source_pair}",
        "data.batch_size=4",
        "augment=none",
        "model.trainable_layers=null",  # from scratch, so everything has to learn
        "model.optimizer.lr=1e-3",
        "trainer.max_epochs=30",
        "trainer.accelerator=cpu",
    )
    L.seed_everything(0, verbose=False)
    learnt = UntilLearnt()
    trainer = instantiate(
        config.trainer, callbacks=[learnt], logger=False, enable_checkpointing=False, limit_val_batches=0
    )
    trainer.fit(instantiate(config.model), datamodule=instantiate(config.data))
    assert learnt.auroc >= 0.95
