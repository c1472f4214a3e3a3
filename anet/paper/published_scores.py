"""What the paper prints besides cost: IoU of Tables III to VII, Table II's rows, Fig. 9's rates, sizes of its data."""

from dataclasses import dataclass

ROMAN = {2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}  # tables
TITLES = {  # as the paper writes them
    "fcn": "FCN", "segnet": "SegNet", "pspnet": "PSPNet", "deeplabv3plus": "DeepLabV3+", "refinenet": "RefineNet",
    "unet": "U-Net", "swin-unet": "Swin-Unet", "ccnet": "CCNet", "pga-net": "PGA-Net", "lsa-net": "LSA-Net",
    "bisenet": "BiSeNet", "bisenetv2": "BiSeNetV2", "stdc": "STDC", "erfnet": "ERFNet", "esnet": "ESNet",
    "enet": "ENet", "topformer": "TopFormer", "anet": "A-Net",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of IoU: a data set and task, as the paper prints it and as the ledger calls it."""

    table: int
    title: str  # the paper's heading
    data: str
    task: str
    folder: str  # below the data root, as the plans in plans/ have it
    size: int  # longer side that it is trained at here, as in the plans
    train: int  # pictures of the paper's training part, validation included
    test: int


COLUMNS = (
    Column(4, "Inclusion", "sd900", "inclusion", "SD-saliency-900", 224, 250, 50),
    Column(4, "Patches", "sd900", "patches", "SD-saliency-900", 224, 250, 50),
    Column(4, "Scratches", "sd900", "scratches", "SD-saliency-900", 224, 250, 50),
    Column(5, "Class7", "dagm", "class7", "DAGM2007", 512, 250, 50),
    Column(5, "Class8", "dagm", "class8", "DAGM2007", 512, 250, 50),
    Column(5, "Class9", "dagm", "class9", "DAGM2007", 512, 250, 50),
    Column(5, "Class10", "dagm", "class10", "DAGM2007", 512, 250, 50),
    Column(6, "MCSD", "mcsd", "defect", "MCSD", 512, 886, 222),
    Column(7, "MT", "mt", "defect", "Magnetic-tile-defect-datasets", 256, 341, 51),
)

IOU: dict[str, tuple[float | None, ...]] = {  # percent, in the order of COLUMNS; None: "-", did not converge
    "fcn": (52.55, 78.78, 55.39, 79.16, 43.54, 74.89, 52.70, 69.51, 47.66),
    "segnet": (56.61, 79.84, 58.05, 80.62, 69.40, 86.75, 73.04, 74.36, 65.45),
    "pspnet": (54.06, 79.80, 57.78, 81.21, 71.00, 86.99, 72.34, 72.77, 69.45),
    "deeplabv3plus": (57.49, 78.34, 55.07, 81.09, 70.73, 88.22, 73.89, 76.00, 62.20),
    "refinenet": (58.72, 79.91, 60.02, 81.06, 70.70, 87.93, 73.73, 72.88, 62.59),
    "unet": (58.97, 79.55, 60.92, 82.74, 76.16, 88.37, 77.79, 73.98, 63.24),
    "swin-unet": (None, None, None, None, None, None, None, 45.50, None),
    "ccnet": (42.79, 75.18, 50.27, 80.75, None, 74.68, 36.48, 74.53, 62.61),
    "pga-net": (31.12, 66.89, 24.91, 81.07, 61.76, 82.55, 65.65, 77.23, 61.70),
    "lsa-net": (58.94, 79.68, 59.20, 81.73, 75.36, 88.00, 77.10, 77.69, 68.46),
    "bisenet": (54.70, 79.13, 56.71, 80.64, None, None, None, 68.33, 44.56),
    "bisenetv2": (11.23, 57.83, 20.16, 62.82, None, None, None, 72.45, 48.08),
    "stdc": (50.43, 76.84, 54.74, 78.93, 48.84, 84.68, 59.15, 68.30, 57.73),
    "erfnet": (58.80, 77.77, 33.61, 49.87, None, None, None, None, None),
    "esnet": (59.73, 78.84, 58.71, 82.02, 74.51, 88.12, 75.36, 71.99, 69.54),
    "enet": (58.21, 78.57, 59.43, 79.47, None, None, None, 75.54, 65.05),
    "topformer": (54.56, 76.13, 53.24, 80.73, 68.37, 85.76, 72.17, 67.27, 64.94),
    "anet": (60.53, 78.76, 59.51, 82.86, 75.99, 88.03, 77.01, 78.68, 69.18),
}  # fmt: skip

ABLATION: dict[str, tuple[tuple[bool, bool, bool, bool], tuple[float, float, float], float, float]] = {
    # Light, Wide, jump, head; IoU in percent on inclusion, patches, scratches; parameters in M; "FLOPs" in G at 224
    "anet-none": ((False, False, False, False), (47.13, 75.70, 55.44), 4.41, 3.12),
    "anet-light": ((True, False, False, False), (46.43, 76.08, 56.10), 3.36, 2.39),
    "anet-wide": ((False, True, False, False), (52.71, 76.08, 55.79), 1.43, 1.02),
    "anet-light-wide": ((True, True, False, False), (51.28, 77.65, 54.94), 0.38, 0.28),
    "anet-jump": ((True, True, True, False), (56.77, 77.04, 59.30), 0.39, 0.31),
    "anet": ((True, True, True, True), (60.53, 78.76, 59.51), 0.39, 0.44),
}

FPS_MACHINES = ("Intel Core i7-10750H, Windows", "Intel Xeon E5-2650 v4, Linux")
FPS: dict[str, tuple[float, float]] = {  # Fig. 9, in the order of FPS_MACHINES
    "bisenet": (71.8, 107.7),
    "bisenetv2": (66.8, 106.6),
    "stdc": (77.1, 115.6),
    "erfnet": (36.7, 96.5),
    "esnet": (65.1, 106.0),
    "topformer": (132.8, 252.8),
    "enet": (205.4, 299.5),
    "anet": (190.6, 284.8),
}

# Table II: stage, side (Down or Up), operation, C_in, C_m, C_out, printed height and width of the output. One LFEM row
# stands for all Light, Wide and Cat blocks of its stage and side.
CHANNELS = (
    ("S1", "down", "Down", 3, 8, 32, 112), ("S1", "down", "LFEM", 32, 8, 32, 112),
    ("S2", "down", "Down", 32, 16, 64, 64), ("S2", "down", "LFEM", 64, 16, 64, 64),
    ("S3", "down", "Down", 64, 32, 128, 32), ("S3", "down", "LFEM", 128, 32, 128, 32),
    ("S4", "down", "Down", 128, 32, 128, 16), ("S4", "down", "LFEM", 128, 32, 128, 16),
    ("S5", "down", "Down", 128, 32, 128, 8), ("S5", "down", "LFEM", 128, 32, 128, 8),
    ("S4", "up", "Up", 128, 32, 128, 16), ("S4", "up", "LFEM", 128, 32, 128, 16),
    ("S3", "up", "Up", 128, 32, 128, 32), ("S3", "up", "LFEM", 128, 32, 128, 32),
    ("S2", "up", "Up", 128, 16, 64, 64), ("S2", "up", "LFEM", 64, 16, 64, 64),
    ("S1", "up", "Up", 64, 8, 32, 112), ("S1", "up", "LFEM", 32, 8, 32, 112),
    ("S0", "up", "Seg Head", 32, 16, 1, 224),
)  # fmt: skip


def columns_of(table: int) -> tuple[Column, ...]:
    """Give the columns of IoU of Table `table`: 4 to 7, or 3, whose columns are those of 4."""
    return tuple(column for column in COLUMNS if column.table == (4 if table == 3 else table))


def printed(column: Column) -> dict[str, float | None]:
    """Give the printed IoU of each network in percent, in the paper's order; None: "did not converge"."""
    return {network: values[COLUMNS.index(column)] for network, values in IOU.items()}
