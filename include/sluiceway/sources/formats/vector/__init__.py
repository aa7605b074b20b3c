"""Files of shapes, read by GDAL."""
