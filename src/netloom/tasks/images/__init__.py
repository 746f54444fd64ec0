"""Tasks of images: class folders, Parquet files, CIFAR-10, ImageNet; in memory, or decoded on the way."""
