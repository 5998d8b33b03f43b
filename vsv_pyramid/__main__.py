"""python -m vsv_pyramid: the same as the console script."""

from vsv_pyramid.cli import main

if __name__ == "__main__":
    main()
