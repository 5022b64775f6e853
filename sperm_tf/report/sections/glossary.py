"""Glossary of the report, for a reader who leads a laboratory rather than writes software."""

GLOSSARY = (
    (
        "Accuracy",
        "Share of the test images that the model put into the right class.",
    ),
    (
        "Attribution map",
        "A picture of how much each place of the image contributes to the prediction.",
    ),
    (
        "AUC",
        "Chance that an image of the class gets a higher probability for it than an image of another class. 0.5 is "
        "guessing, 1 is perfect.",
    ),
    (
        "Blessing",
        "The permission of the evaluation, of the measurement of the maps or of the serving trial to push a model. "
        "Without all three, nothing is pushed.",
    ),
    (
        "CBAM",
        "Convolutional block attention module: a part of the network that learns which regions and features to "
        "weigh more. Its map is the weight of each region.",
    ),
    (
        "Confusion matrix",
        "How many images of each true class (row) were predicted as which class (column).",
    ),
    (
        "Digest",
        "Fingerprint of a file's content. Equal digests mean equal content.",
    ),
    (
        "Epoch",
        "One pass of the training over all training images.",
    ),
    (
        "F1",
        "Harmonic mean of precision and recall; high only when both are.",
    ),
    (
        "Grad-CAM++",
        "A map of the regions that raised the score of the predicted class. It is coarse: one cell of the map "
        "covers many pixels.",
    ),
    (
        "Group bootstrap",
        "An interval found by drawing the test images again and again with replacement, near duplicates always "
        "together.",
    ),
    (
        "Interval, 95 %",
        "The range in which the true value plausibly lies, given how few images were tested.",
    ),
    (
        "Integrated gradients of a layer",
        "A map of the places that raised the score of the predicted class, compared with the attribution baseline, a "
        "blank background: what each place adds on the way from the one to the other. All places together, those that "
        "lower the score too, would add up to the difference of the two scores; with the few steps that are taken, "
        "they do so roughly.",
    ),
    (
        "Macro F1",
        "Mean of the classes' F1, each class counting the same however many images it has.",
    ),
    (
        "Near duplicates",
        "Images of the same cell or field, cropped, stored or photographed anew. On both sides of a split they would "
        "make a model look better than it is.",
    ),
    (
        "Out-of-distribution (OOD) input",
        "An image unlike the training images: another stain or microscope, far less contrast, or no cell at all. It is "
        "referred to an expert.",
    ),
    (
        "Precision",
        "Of the images predicted as this class, the share that truly are.",
    ),
    (
        "Recall",
        "Of the images that truly are this class, the share that was found; also called sensitivity.",
    ),
    (
        "SavedModel",
        "TensorFlow's format for a model that runs anywhere, here with its preprocessing and explanations.",
    ),
    (
        "Selective classification",
        "The model decides only where it is sure enough, and abstains otherwise: it refers the image to an expert.",
    ),
    (
        "Split",
        "The model is fitted to the training images, its best epoch is chosen on the validation images, and it is "
        "evaluated once on the test images.",
    ),
    (
        "Test-time augmentation",
        "The prediction is the mean over several views of the image: turned by right angles, and mirrored.",
    ),
    (
        "Wilson interval",
        "A standard interval for a share, taking every image as independent.",
    ),
)
