"""Stop-gap until the real reader lands (being written)."""
from pathlib import Path
import io
import cv2
import numpy as np
from PIL import Image, ImageOps
from anet.errors import ImageError
from anet.files import atomic_write
PALETTE=((0,0,0),(230,60,60),(60,140,230),(240,190,40),(80,190,90),(170,90,210))
LIMITS=None
def read_image(path, limits=None):
    try:
        with Image.open(path) as im: return np.asarray(ImageOps.exif_transpose(im).convert("RGB"))
    except Exception as e: raise ImageError(f"cannot read {path}: {e}") from e
def read_mask(path, limits=None):
    try:
        with Image.open(path) as im:
            a=np.asarray(im)
            if a.dtype==bool: a=a.astype(np.uint8)*255
            return a if a.ndim==2 else a[...,0]
    except Exception as e: raise ImageError(f"cannot read {path}: {e}") from e
def image_size(path, limits=None):
    with Image.open(path) as im: return im.height, im.width
def png_bytes(a):
    b=io.BytesIO(); Image.fromarray(a).save(b,"PNG"); return b.getvalue()
def write_png(path,a): atomic_write(path,png_bytes(a))
def overlay(image,mask,alpha=.45):
    out=image.copy()
    for k in range(1,len(PALETTE)):
        m=mask==k
        out[m]=(image[m]*(1-alpha)+np.array(PALETTE[k])*alpha).astype(np.uint8)
    return out
def list_images(paths):
    for p in paths:
        p=Path(p)
        if p.is_dir(): yield from sorted(q for q in p.rglob("*") if q.suffix.lower() in (".png",".jpg",".jpeg",".bmp",".tif",".tiff",".webp"))
        else: yield p
