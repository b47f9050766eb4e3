"""Quality and cost: PSNR and SSIM, folders of images, multiply-adds, and the paper's tables."""
