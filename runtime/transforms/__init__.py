"""MONAI's transform names as steps that turn a DICOM image into the network's input, and its output back.

One file a family: :mod:`.spatial`, :mod:`.crop_pad`, :mod:`.intensity`, :mod:`.post`, :mod:`.morphology` hold MONAI's
names with MONAI's arguments and numbers, :mod:`.ours` what MONAI has no word for, :mod:`.plan` the chain of a bundle.
"""
