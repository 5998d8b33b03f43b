"""Launcher for a checkout: python cli.py convert 170782.svs"""

from vsv_pyramid.__main__ import main

if __name__ == "__main__":
    main()
