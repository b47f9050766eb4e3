"""How good and how expensive: PSNR and SSIM, folders of images, multiply-adds, the tables."""
