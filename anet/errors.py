"""Everything a user can cause, as one small tree of errors.

    AnetError                 exit code 2, one line on stderr
    ├── ImageError            a picture or mask file that cannot be read, or is refused
    ├── DataError             a data set: missing masks, unknown layout, impossible split
    ├── ModelError            a model file: damaged, foreign, of another network
    ├── OptionError           an option's value
    ├── OutputError           a target that cannot be written, a full disk
    └── TrainingError         training cannot go on: NaN loss, a batch too large

The message says what is wrong, what was found and what would work.
"""


class AnetError(Exception):
    """Base of all errors a user can cause."""


class ImageError(AnetError):
    """A picture or mask file that cannot be read, or is refused."""


class DataError(AnetError):
    """A data set that is not what it should be."""


class ModelError(AnetError):
    """A model file that is damaged, foreign, or of another network."""


class OptionError(AnetError):
    """An option's value that makes no sense."""


class OutputError(AnetError):
    """A target that cannot be written."""


class TrainingError(AnetError):
    """Training cannot go on."""
