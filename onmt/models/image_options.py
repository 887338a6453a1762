"""What train.py can be asked about models of images. No torch here."""

from dataclasses import dataclass

from onmt.commandline.declare import option
from onmt.commandline.validators import existing_file_or_empty


@dataclass(frozen=True, kw_only=True)
class ImageModelOptions:
    """Model"""

    image_weights: str = option(
        "",
        "With --model Image2Seq: start the image network from this file of weights, one as torchvision "
        "publishes for `inception_v3`, instead of random numbers.",
        init_only=True,
        valid=existing_file_or_empty,
    )
