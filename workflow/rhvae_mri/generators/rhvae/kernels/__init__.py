"""Hand-written products, gradients and optimizer for the layers that have a row or a column for each voxel.

They compute what torch's own layers, derivatives and `torch.optim.Adam` do, up to rounding. A training step
of the study's networks at 28x34x30 voxels, 25 images and one thread takes 0.44 s of an Intel Xeon and at most
1.05 GB with them, 0.51 s and 1.24 GB without. What each is worth, by a step without it: the derivatives of
the decoder's last layer (`decoder`) 0.70 s; gradients as factors (`adam`) 0.47 s and 1.20 GB. The product of
oneDNN (`voxel_layers`) takes half the time of torch's own on the AMD EPYC of benchmarks/README.md, and a
twelfth more on that Xeon.
"""

#: Whether networks are built with them. Without, the same model is trained by plain torch.
enabled = True
